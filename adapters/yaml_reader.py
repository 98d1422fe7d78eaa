"""YAML read with positions and bounds, and questions to it whose wrong answers are collected as diagnostics.

Here: text to nodes (bounded in size, depth and aliases before anything is built), and `Section`, through which the
configuration is read key by key. Not here: what the keys mean.

Scalars are taken as Go's yaml.v3 takes them for a typed field, since that is what read these files before: a text
field takes any scalar as it is written, a boolean field also yes/no and on/off.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import yaml

from waf_engine.diagnostics import Diagnostic, Severity, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BYTES = 4 << 20
"""Bytes of a configuration file; with a whole rule set written into it about 1.5 MB."""
MAX_NODES = 100_000
MAX_DEPTH = 32
"""Collections inside each other; the deepest key that means anything is at 4. It keeps recursion shallow."""
MAX_ALIASES = 1000
"""Uses of `*anchor`; a hundred applications that share a few lines each. They are never copied, so cannot multiply."""
MAX_FAULTS = 100

_TRUE = frozenset(("true", "yes", "on", "y"))
_FALSE = frozenset(("false", "no", "off", "n"))
_NULL_TAG = "tag:yaml.org,2002:null"


class Faults:
    """The faults of one file, collected; at most `MAX_FAULTS` of them are kept.

    Args:
        file: the name under which the file is known.
        text: its content, for the source lines.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.split("\n")
        self.found: list[Diagnostic] = []

    def add(
        self, place: yaml.Node | tuple[int, int], code: str, message: str, hint: str = "", *, warning: bool = False
    ) -> None:
        """Note a fault.

        Args:
            place: a node, or a line and a column, both from 1.
            code: the kind of fault, short and stable.
            message: what came and what was expected.
            hint: what would be right.
            warning: true when the file can be used all the same.
        """
        if len(self.found) < MAX_FAULTS:
            severity = Severity.WARNING if warning else Severity.ERROR
            diagnostic = Diagnostic(severity, code, message, self.span(place), hint)
            self.found.append(diagnostic.with_source(self.lines))

    def span(self, place: yaml.Node | tuple[int, int]) -> Span:
        """The position of a node."""
        if isinstance(place, yaml.Node):
            return Span(self.file, place.start_mark.line + 1, place.start_mark.column + 1)
        return Span(self.file, *place)

    @property
    def errors(self) -> int:
        """How many of them refuse the file."""
        return sum(1 for fault in self.found if fault.severity is Severity.ERROR)


def compose(text: str, faults: Faults) -> yaml.Node | None:
    """The root node of a YAML text, or None after a fault or when there is nothing in it. Never raises."""
    if len(text) > MAX_BYTES:
        faults.add((1, 1), "too-large", f"the file has {len(text)} characters, at most {MAX_BYTES} are read")
        return None
    try:
        if not _bounded(text, faults):
            return None
        loader = yaml.SafeLoader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        faults.add((line, column), "yaml", "a character that YAML does not allow", "the file must be plain UTF-8 text")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        said = " ".join(part for part in (error.context, error.problem) if part)
        faults.add(place, "yaml", f"not YAML: {said}", _yaml_hint(faults.lines, place[0]))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        faults.add((1, 1), "yaml", f"not YAML: {error}")
    return None


def _bounded(text: str, faults: Faults) -> bool:
    """Look at the events before nodes are built from them: the event parser does not recurse and copies nothing."""
    depth = nodes = aliases = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        nodes += isinstance(event, yaml.NodeEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > MAX_DEPTH:
            faults.add(place, "too-deep", f"more than {MAX_DEPTH} lists or maps inside each other")
            return False
        if nodes > MAX_NODES or aliases > MAX_ALIASES:
            faults.add(place, "too-large", f"more than {MAX_NODES} values or {MAX_ALIASES} aliases")
            return False
    return True


def _yaml_hint(lines: list[str], number: int) -> str:
    """What the most frequent mistakes look like."""
    line = lines[number - 1] if number <= len(lines) else ""
    key, colon, value = line.partition(":")
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "YAML is indented with blanks, not with tabs"
    if colon and value.strip().startswith("[:"):
        return f'quotes are needed: {key.strip()}: "{value.strip()}"'
    if colon and value.strip().startswith(("@", "%", "`", "*", "&", "!")):
        return f'quotes are needed: {key.strip()}: "{value.strip()}"'
    return ""


class Section:
    """One map of the file, read key by key. What is asked for is known; `finish` reports the rest.

    Args:
        node: the map, or None for an absent one: every key then has its default.
        faults: where faults go.
        name: how to call the map in messages, such as ``applications[2]``; empty for the top of the file.
    """

    def __init__(self, node: yaml.Node | None, faults: Faults, name: str) -> None:
        self.faults, self.name, self.node = faults, name, node
        self._values: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self._asked: set[str] = set()
        if node is None or is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            faults.add(node, "wrong-type", f"{name or 'the file'} must be a map of keys, not {_kind(node)}")
            return
        self._take(node, merged=False)

    def _take(self, node: yaml.MappingNode, *, merged: bool) -> None:
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge" and not merged:
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in sources:
                    if isinstance(source, yaml.MappingNode):
                        self._take(source, merged=True)
                    else:
                        self.faults.add(source, "wrong-type", f"<< takes a map, not {_kind(source)}")
            elif not isinstance(key, yaml.ScalarNode):
                self.faults.add(key, "wrong-type", "a key must be a plain word")
            elif key.value not in self._values:
                self._values[key.value] = (key, value)
            elif not merged:
                self._again(key, value, node)

    def _again(self, key: yaml.ScalarNode, value: yaml.Node, node: yaml.MappingNode) -> None:
        """The same key a second time: a fault, unless the first was merged in, which gives way."""
        first = self._values[key.value][0]
        if any(first is own for own, _ in node.value):
            line = first.start_mark.line + 1
            self.faults.add(key, "duplicate-key", f"{key.value[:60]!r} is set twice, first in line {line}")
        else:
            self._values[key.value] = (key, value)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def is_map(self) -> bool:
        """Whether there is a map at all, empty or not."""
        return isinstance(self.node, yaml.MappingNode)

    def raw(self, key: str) -> yaml.Node | None:
        """The node of a key, or None when it is absent or null."""
        self._asked.add(key)
        entry = self._values.get(key)
        return None if entry is None or is_null(entry[1]) else entry[1]

    def place(self, key: str) -> yaml.Node | tuple[int, int]:
        """Where to point for a fault of this key: its value, else the map, else the start of the file."""
        return self.raw(key) or self.node or (1, 1)

    def text(self, key: str, default: str = "") -> str:
        """A text; any scalar is one."""
        node = self.raw(key)
        if node is None:
            return default
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.faults.add(node, "wrong-type", f"{self._path(key)} must be a text, not {_kind(node)}")
        return default

    def boolean(self, key: str, *, default: bool) -> bool:
        """A boolean: true or false, also yes/no and on/off."""
        node = self.raw(key)
        if node is None:
            return default
        word = node.value.lower() if isinstance(node, yaml.ScalarNode) else ""
        if word not in _TRUE | _FALSE:
            self.faults.add(node, "wrong-type", f"{self._path(key)} must be true or false, not {_kind(node)}")
            return default
        return word in _TRUE

    def integer(self, key: str, default: int, *, lowest: int, highest: int, unit: str) -> int:
        """A whole number within bounds; the unit is for the message."""
        node = self.raw(key)
        if node is None:
            return default
        word = node.value.replace("_", "") if isinstance(node, yaml.ScalarNode) else ""
        digits = word.removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            self.faults.add(
                node, "wrong-type", f"{self._path(key)} must be a whole number of {unit}, not {_kind(node)}"
            )
            return default
        number = int(word)
        if not lowest <= number <= highest:
            message = f"{self._path(key)} must be from {lowest} to {highest} {unit}, not {number}"
            self.faults.add(node, "out-of-range", message)
            return default
        return number

    def number(self, key: str, default: float, *, lowest: float, highest: float, unit: str) -> float:
        """A number within bounds, perhaps with a point; the unit is for the message."""
        node = self.raw(key)
        if node is None:
            return default
        word = node.value.replace("_", "") if isinstance(node, yaml.ScalarNode) else ""
        digits = word.removeprefix("-").removeprefix("+").replace(".", "", 1)
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            self.faults.add(node, "wrong-type", f"{self._path(key)} must be a number of {unit}, not {_kind(node)}")
            return default
        if not lowest <= float(word) <= highest:
            message = f"{self._path(key)} must be from {lowest:g} to {highest:g} {unit}, not {word}"
            self.faults.add(node, "out-of-range", message)
            return default
        return float(word)

    def choice(self, key: str, choices: Iterable[str], default: str) -> str:
        """One word of several."""
        allowed = list(choices)
        word = self.text(key, default)
        if word in allowed:
            return word
        if isinstance(node := self.raw(key), yaml.ScalarNode):
            close = difflib.get_close_matches(word.lower(), allowed, 1)
            hint = f"did you mean {close[0]!r}?" if close else ""
            message = f"{self._path(key)} must be one of {', '.join(allowed)}, not {word[:40]!r}"
            self.faults.add(node, "bad-value", message, hint)
        return default

    def texts(self, key: str) -> list[tuple[str, yaml.Node]]:
        """A list of texts, each with its node; a single text is a list of one."""
        node = self.raw(key)
        if node is None:
            return []
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: list[tuple[str, yaml.Node]] = []
        for item in items:
            if isinstance(item, yaml.ScalarNode) and item.value:
                found.append((str(item.value), item))
            else:
                self.faults.add(item, "wrong-type", f"{self._path(key)} must be a list of texts, not {_kind(item)}")
        return found

    def section(self, key: str) -> Section:
        """A map below this one."""
        return Section(self.raw(key), self.faults, self._path(key))

    def sections(self, key: str) -> list[Section]:
        """A list of maps."""
        node = self.raw(key)
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.faults.add(node, "wrong-type", f"{self._path(key)} must be a list, not {_kind(node)}")
            return []
        return [Section(item, self.faults, f"{self._path(key)}[{index}]") for index, item in enumerate(node.value, 1)]

    def maps(self, key: str) -> list[tuple[str, yaml.Node, Section]]:
        """A map of maps: the name of each, where the name stands, and the map, empty when it is null."""
        return self.section(key).children()

    def children(self) -> list[tuple[str, yaml.Node, Section]]:
        """See `maps`, for the keys of this map."""
        return [(name, key, self.section(name)) for name, (key, _) in self._values.items()]

    def finish(self, *, strict: bool) -> None:
        """Report the keys that nothing asked for: as errors when strict, else as warnings."""
        for name in self._values.keys() - self._asked:
            key = self._values[name][0]
            known = sorted(self._asked)
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
            where = self.name or "the top of the file"
            self.faults.add(key, "unknown-key", f"{name[:60]!r} is not a key of {where}", hint, warning=not strict)

    def _path(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


def is_null(node: yaml.Node) -> bool:
    """Whether a node is YAML's null, as an empty value is."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL_TAG


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a map"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if is_null(node) or not node.value:
        return "nothing"
    return repr(str(node.value)[:40])

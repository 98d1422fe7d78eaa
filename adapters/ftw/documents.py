"""Test files and override files as YAML nodes with positions, and the readers of values that both share.

Not here: what the keys mean (model.py, overrides.py). Nodes are composed by libyaml where PyYAML has it: the CRS's
tests are 3 MB of YAML, which take 40 s in Python and 1 s in C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from adapters.yaml_reader import Faults, Section

if TYPE_CHECKING:
    from pathlib import Path

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 16 << 20
"""Bytes of one file; the largest of the CRS has 150,000."""

_NULL = "tag:yaml.org,2002:null"

MAX_NUMBER = 2**63 - 1
"""The largest rule id: both engines keep it in 64 bits."""


def read_document(path: Path) -> tuple[Section, Faults]:
    """Read a YAML file.

    Returns:
        Its top, and where its faults go. After a fault of the file itself, and for an empty file, the top has no node.
    """
    name = str(path)
    faults = Faults(name, "")
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        faults.add((1, 1), "unreadable-file", f"the file cannot be read: {(error.strerror or str(error)).lower()}")
        return Section(None, faults, ""), faults
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        faults.add((line, 1), "not-utf-8", f"byte {error.start} is not UTF-8", "write other bytes as encoded_data")
        return Section(None, faults, ""), faults
    faults = Faults(name, text)
    if len(content) > MAX_BYTES:
        faults.add((1, 1), "too-large", f"the file has more than {MAX_BYTES} bytes")
        return Section(None, faults, ""), faults
    return Section(_compose(text, faults), faults, ""), faults


def _compose(text: str, faults: Faults) -> yaml.Node | None:
    try:
        loader = LOADER(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if place[0] > len(faults.lines):  # libyaml's place for what is missing at the end
            place = (len(faults.lines), len(faults.lines[-1]) + 1)
        said = " ".join(part for part in (error.context, error.problem) if part)
        hint = "YAML is indented with blanks, not with tabs" if "\\t" in said else ""
        faults.add(place, "yaml", f"not YAML: {said}", hint)
        return None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        faults.add((1, 1), "yaml", f"not YAML: {' '.join(str(error).split())}")
        return None
    return node


def items(section: Section, key: str) -> list[tuple[str, str, yaml.Node]]:
    """The names and texts of a map below a section, in their order, each with its node; no text is an empty one."""
    node = section.raw(key)
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        section.faults.add(node, "wrong-type", f"{key} must be a map of names and texts")
        return []
    found: list[tuple[str, str, yaml.Node]] = []
    for name, value in node.value:
        if isinstance(name, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode):
            found.append((name.value, "" if value.tag == _NULL else value.value, value))
        else:
            section.faults.add(value, "wrong-type", f"{key} must have a text for each name")
    return found


def number(section: Section, key: str, default: int, *, lowest: int = 0, highest: int = MAX_NUMBER) -> int:
    """A whole number within bounds."""
    node = section.raw(key)
    value = default if node is None else _number(section, key, node, (lowest, highest))
    return default if value is None else value


def numbers(section: Section, key: str, *, lowest: int = 0, highest: int = MAX_NUMBER) -> tuple[int, ...]:
    """A list of whole numbers; a single one is a list of one."""
    node = section.raw(key)
    if node is None:
        return ()
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    found = (_number(section, key, each, (lowest, highest)) for each in nodes)
    return tuple(value for value in found if value is not None)


def _number(section: Section, key: str, node: yaml.Node, bounds: tuple[int, int]) -> int | None:
    text = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
    if text.isascii() and text.isdigit() and len(text) < 20 and bounds[0] <= int(text) <= bounds[1]:
        return int(text)
    got = repr(text[:40]) if isinstance(node, yaml.ScalarNode) else "a list or a map"
    allowed = f"from {bounds[0]} to {bounds[1]}" if bounds[1] < MAX_NUMBER else f"of {bounds[0]} or more"
    section.faults.add(node, "bad-number", f"{key} must be a whole number {allowed}, got {got}")
    return None


def optional_boolean(section: Section, key: str) -> bool | None:
    """True, false, or None where the key is absent."""
    return None if section.raw(key) is None else section.boolean(key, default=False)

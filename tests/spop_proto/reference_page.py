"""Draws docs/spop-reference.md from the docstrings and signatures of spop_proto's public names.

python tests/spop_proto/reference_page.py > docs/spop-reference.md
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ForwardRef, get_args

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "spop-reference.md"
sys.path.insert(0, str(ROOT))

import spop_proto  # noqa: E402  # the path is set above, for the command

INTRODUCTION = """\
# The public names of spop_proto

Drawn from the docstrings by `tests/spop_proto/reference_page.py`; a test fails when this page is stale. How they play
together is told in [writing-an-agent.md](writing-an-agent.md), the states in [spop-states.md](spop-states.md).
"""
GROUPS = {
    "Connections": ("AgentConnection", "HAProxyConnection", "Limits"),
    "Events that are frames": (
        *("HAProxyHello", "AgentHello", "Notify", "Ack", "Aborted", "HAProxyDisconnect", "AgentDisconnect"),
        "UnknownFrame",
    ),
    "Events that are not": ("ConnectionFailed", "ConnectionClosed", "Event"),
    "What is in them": (*("Message", "SetVar", "UnsetVar", "Typed", "Scope", "Capability", "DataType", "StatusCode"),),
    "Errors": ("ProtocolError", "LocalProtocolError", "RemoteProtocolError"),
}
UNNAMED = {
    "Action": spop_proto._events,
    "Value": spop_proto._typed_data,
    "Timer": spop_proto._connection,
    "AgentState": spop_proto._state,
    "HAProxyState": spop_proto._state,
}
"""What signatures speak of, but nobody needs to import: the public names are as few as they can be (DESIGN.md)."""
SECTION = re.compile(r"^(Args|Returns|Raises|Attributes):$")


def markdown(text: str | None) -> str:
    """A docstring of the google convention as Markdown: sections become lists."""
    lines: list[str] = []
    in_section = False
    for line in inspect.cleandoc(text or "").splitlines():
        if heading := SECTION.match(line):
            lines += [f"{heading[1]}:", ""]
            in_section = True
        elif in_section and (entry := re.match(r"    ([\w., ]+): (.*)", line)):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        elif in_section and line.startswith("    "):
            lines.append(("  " if lines[-1].startswith(("- ", "  ")) else "") + line.strip())
        else:
            in_section = in_section and not line
            lines.append(line)
    return "\n".join(lines) + "\n"


class _AsWritten:
    """A default or an annotation as the source has it, in the same order each time."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def written(value: Any) -> str:
    """A default as the source has it."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(written(each) for each in value)) + "}"
    if isinstance(value, tuple):
        return "(" + "".join(f"{written(each)}, " for each in value).rstrip(" " if len(value) == 1 else ", ") + ")"
    return repr(value)


def annotation(found: Any) -> str:
    """A type as the source has it; those of a NamedTuple are references."""
    return found.__forward_arg__ if isinstance(found, ForwardRef) else str(found)


def signature(name: str, function: Any) -> str:
    """A call as Python writes it, without `self`; types as the source has them."""
    found = inspect.signature(function)
    kept = [
        each.replace(
            default=each.default if each.default is each.empty else _AsWritten(written(each.default)),
            annotation=each.annotation if each.annotation is each.empty else _AsWritten(annotation(each.annotation)),
        )
        for each in found.parameters.values()
        if each.name != "self"
    ]
    returns = found.empty if isinstance(function, type) else _AsWritten(str(found.return_annotation))
    return f"{name}{found.replace(parameters=kept, return_annotation=returns)}"


def attribute_docs(cls: type) -> dict[str, str]:
    """The docstring under each attribute of a class."""
    pattern = r'^ {4,8}(?:self\.)?(\w+)(?:: [^=\n]+)?(?: = [^\n]+)?\n {4,8}"""(.*?)"""'
    found = re.findall(pattern, inspect.getsource(cls), re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in found}


def render_class(name: str, cls: type) -> str:
    """A class: what it is, its fields or members, its methods."""
    parts = [f"\n### {name}\n"]
    if not issubclass(cls, Enum) and not issubclass(cls, BaseException):
        parts.append(f"```python\n{signature(name, cls)}\n```\n")
    parts.append(markdown(cls.__doc__))
    if issubclass(cls, Enum):
        docs = attribute_docs(cls)
        parts += ["| name | value | |", "|---|---|---|"]
        parts += [f"| {each.name} | `{each.value!r}` | {docs.get(each.name, '')} |" for each in cls]
    elif cls is spop_proto.Limits:
        parts += ["| limit | default | unit | reason |", "|---|---|---|---|"]
        parts += [limit_row(each) for each in fields(spop_proto.Limits)]
    elif is_dataclass(cls) or issubclass(cls, tuple):
        docs = attribute_docs(cls)
        named = [each.name for each in fields(cls)] if is_dataclass(cls) else list(cls.__annotations__)
        parts += [f"- `{each}`: {docs[each]}" for each in named if each in docs]
    parts += members(cls)
    return "\n".join(parts) + "\n"


def limit_row(limit: Field[Any]) -> str:
    """A limit: everything is in its field."""
    default = "" if limit.default is MISSING else f"{limit.default!r}"
    return f"| `{limit.name}` | {default} | {limit.metadata['unit']} | {limit.metadata['reason']} |"


def alias_doc(name: str) -> str:
    """The docstring under an alias, from whichever file has it."""
    pattern = rf'^{name}: TypeAlias = (?:[^\n]+|\(\n.*?\n\))\n"""(.*?)"""'
    sources = (each.read_text() for each in sorted((ROOT / "spop_proto").glob("*.py")))
    (found,) = [each for source in sources for each in re.findall(pattern, source, re.MULTILINE | re.DOTALL)]
    return markdown(found).strip()


def members(cls: type) -> list[str]:
    """The public methods and properties, and attributes that are set by the constructor, those of parents included."""
    if issubclass(cls, Enum):
        return []
    found: dict[str, Any] = {}
    docs: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if each.__module__.startswith("spop_proto"):
            found |= {name: member for name, member in vars(each).items() if not name.startswith("_")}
            docs |= {} if is_dataclass(each) else attribute_docs(each)
    lines: list[str] = []
    for name, text in sorted(docs.items()):
        if name not in found and not name.startswith("_"):
            lines += [f"\n#### {name}\n", text]
    for name, member in sorted(found.items()):
        if isinstance(member, property):
            lines += [f"\n#### {name}\n", markdown(member.__doc__)]
        elif isinstance(member, types.FunctionType):
            lines += [f"\n#### {signature(name, member)}\n", markdown(member.__doc__)]
    return lines


def render_name(name: str, thing: Any) -> str:
    """A class, or an alias for several."""
    if isinstance(thing, type):
        return render_class(name, thing)
    choices = ", ".join(f"`{'None' if each is type(None) else each.__name__}`" for each in get_args(thing))
    return f"\n### {name}\n\nAny of {choices}. {alias_doc(name)}\n"


def render() -> str:
    """The page.

    Raises:
        ValueError: a public name is in no group, or in several.
    """
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(spop_proto.__all__):
        raise ValueError(f"the groups differ from __all__ in {set(grouped) ^ set(spop_proto.__all__)}")
    parts = [INTRODUCTION]
    for title, names in GROUPS.items():
        parts += [f"\n## {title}\n", *(render_name(name, getattr(spop_proto, name)) for name in names)]
    parts.append("\n## What signatures speak of\n\nTypes that come and go, and are not to be imported.\n")
    parts += [render_name(name, getattr(module, name)) for name, module in UNNAMED.items()]
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())

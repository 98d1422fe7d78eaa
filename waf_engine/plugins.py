"""Plug-ins: packages that add operators, transformations, actions, variables and more by entry points.

A package names what it adds in its pyproject.toml, in one group for each registry (``spoa_waf.operators``, ...), where
the entry point's name is the name in rules, or in ``spoa_waf.plugins``, a function that is called with the registries
and adds to them what it likes. All of it goes to copies: the registries of this package are never written to.

This module is also the one place that a plug-in imports from: what is in ``__all__`` keeps its name and meaning.
Not here: which packages are wanted. Who installs one beside this package wants it, unless a setting says no.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from waf_engine.actions.registry import Action, ActionKind, Value
from waf_engine.audit.registry import AuditFormat
from waf_engine.compiler.draft import ActionContext, RuleDraft
from waf_engine.compiler.plan import CompiledRule, Variable
from waf_engine.compiler.state import Registries
from waf_engine.diagnostics import ArgumentError, Diagnostic, SecLangError, Severity, Span
from waf_engine.runtime.transaction import Transaction
from waf_engine.types import (
    MATCHED,
    BodyContext,
    BodyResult,
    Captures,
    CompileContext,
    Entry,
    Test,
    TransactionView,
    encode_argument,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

    from waf_engine.registry import Registry

__all__ = [
    "MATCHED",
    "Action",
    "ActionContext",
    "ActionKind",
    "ArgumentError",
    "AuditFormat",
    "BodyContext",
    "BodyResult",
    "Captures",
    "CompileContext",
    "CompiledRule",
    "Entry",
    "Plugin",
    "Registries",
    "RuleDraft",
    "Test",
    "Transaction",
    "TransactionView",
    "Value",
    "Variable",
    "encode_argument",
    "installed_plugins",
    "load_plugins",
]

PREFIX = "spoa_waf."
WHOLE = "plugins"
"""The group of functions that are called with the registries."""

GROUPS = (*(field.name for field in fields(Registries)), WHOLE)
"""The groups of entry points, without their prefix: one for each registry, and `WHOLE`, which come last."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_CLASSES: dict[str, type] = {"actions": Action, "variables": Variable, "audit_formats": AuditFormat}


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point of an installed package.

    Attributes:
        group: one of `GROUPS`.
        name: the name in rules.
        distribution: the package and its version, for messages.
        entry_point: what is to be loaded.
    """

    group: str
    name: str
    distribution: str
    entry_point: EntryPoint

    def __str__(self) -> str:
        kind = "entry point" if self.group == WHOLE else self.group.removesuffix("s").replace("_", " ")
        return f"plug-in {self.distribution}: {kind} {self.name!r} ({self.entry_point.value})"


def installed_plugins() -> tuple[Plugin, ...]:
    """All plug-ins that are installed: groups in the order of `GROUPS`, then by package and name."""
    found = []
    for group in GROUPS:
        plugins = [
            Plugin(group, entry.name, f"{entry.dist.name} {entry.dist.version}" if entry.dist else "(unknown)", entry)
            for entry in entry_points(group=PREFIX + group)
        ]
        found += sorted(plugins, key=lambda plugin: (plugin.distribution, plugin.name))
    return tuple(found)


def load_plugins(registries: Registries, plugins: Iterable[Plugin] | None = None) -> Registries:
    """Registries with what plug-ins add.

    Args:
        registries: what there is; not changed.
        plugins: which plug-ins; None for all that are installed.

    Returns:
        Copies of the registries with everything added; the registries themselves where there are no plug-ins.

    Raises:
        SecLangError: a plug-in cannot be loaded, or adds what is none of its kind, or a name that is taken; the faults
            of all plug-ins are in it, each with the package's name.
    """
    chosen = installed_plugins() if plugins is None else tuple(plugins)
    if not chosen:
        return registries
    copies = {field.name: getattr(registries, field.name).copy() for field in fields(Registries)}
    extended = Registries(**copies)
    owners: dict[tuple[str, str], str] = {}
    faults = [fault for plugin in chosen if (fault := _add(plugin, extended, owners)) is not None]
    if faults:
        raise SecLangError(faults)
    return extended


def _add(plugin: Plugin, registries: Registries, owners: dict[tuple[str, str], str]) -> Diagnostic | None:
    """Load and add one plug-in; what is wrong with it, or None."""
    try:
        thing = plugin.entry_point.load()
        if plugin.group == WHOLE:
            thing(registries)
        else:
            _check(plugin, thing)
            _register(plugin, thing, getattr(registries, plugin.group), owners)
    except Exception as error:  # noqa: BLE001  whatever it raises: that package is at fault, and is to be named
        reason = str(error) if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: {error}"
        hint = f"repair or uninstall {plugin.distribution.split(' ')[0]}, or switch plug-ins off (plugins: false)"
        place = Span(f"plug-in {plugin.distribution}", 1)
        return Diagnostic(Severity.ERROR, "broken-plugin", f"{plugin}: {reason}", place, hint)
    return None


def _register(plugin: Plugin, thing: Any, registry: Registry[Any], owners: dict[tuple[str, str], str]) -> None:
    owner = owners.setdefault((plugin.group, plugin.name.lower()), plugin.distribution)
    if plugin.name in registry:
        by = "" if owner == plugin.distribution else f" by {owner}"
        raise ValueError(f"there is {registry.kind} {plugin.name!r} already{by}")
    registry.add(thing, plugin.name)


def _check(plugin: Plugin, thing: Any) -> None:
    """Find at load time what would else be found by the first request.

    Raises:
        ValueError: the name is none, or it is not the thing's own.
        TypeError: the thing is none of its kind.
    """
    if not _NAME.match(plugin.name):
        raise ValueError("a name has letters, digits and _, and begins with a letter")
    wanted = _CLASSES.get(plugin.group)
    if wanted is not None:
        if not isinstance(thing, wanted):
            raise TypeError(f"it must be an object of {wanted.__name__}, not of {type(thing).__name__}")
        own = getattr(thing, "name", plugin.name)
        if own.lower() != plugin.name.lower():
            raise ValueError(f"the {wanted.__name__} calls itself {own!r}: both must be the same")
    elif not callable(thing):
        raise TypeError(f"it must be a function, not an object of {type(thing).__name__}")
    if plugin.group == "transformations" and not isinstance(thing(b"probe"), bytes):
        raise TypeError("a transformation takes bytes and gives bytes")

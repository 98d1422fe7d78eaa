"""A rule while it is being compiled: mutable, filled by actions, changed by SecRuleUpdate*, then frozen.

Holds no semantics of its own: what an action means is in actions/, how a draft becomes a rule in lower.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from waf_engine.compiler.plan import Allow, Effect, Exclusion, Operator, Variable
    from waf_engine.diagnostics import Span
    from waf_engine.registry import Registry
    from waf_engine.seclang.ast import VariableRef
    from waf_engine.types import Macro, Transformation


@dataclass(slots=True, kw_only=True)
class RuleDraft:
    """The fields of a `CompiledRule` before they are frozen; see there.

    Attributes:
        explicit_phase: whether an action set the phase.
        variables: targets as written, SecRuleUpdateTarget* included.
        disruptive: name of the disruptive action, ``block`` not yet resolved; empty for none.
        status: what ``status`` set; None for the action's default.
        redirect: the target of ``redirect``.
        allow: the reach of ``allow``.
        chained: whether the next rule is a member of this one's chain.
        members: the chain after this rule, in order.
        in_chain: whether this is such a member.
        namespaces: prefixes of its XPath expressions (``xmlns``).
    """

    span: Span
    raw: str = ""
    id: int = 0
    phase: int = 2
    explicit_phase: bool = False
    variables: list[VariableRef] = field(default_factory=list)
    operator: Operator | None = None
    transformations: list[tuple[str, Transformation]] = field(default_factory=list)
    multi_match: bool = False
    capture: bool = False
    effects: list[Effect] = field(default_factory=list)
    disruptive: str = ""
    status: int | None = None
    redirect: Macro | None = None
    allow: Allow | None = None
    chained: bool = False
    members: list[RuleDraft] = field(default_factory=list)
    in_chain: bool = False
    namespaces: dict[str, str] = field(default_factory=dict)
    skip: int = 0
    skip_after: str = ""
    marker: str = ""
    log: bool = False
    auditlog: bool = False
    msg: Macro | None = None
    logdata: Macro | None = None
    severity: int | None = None
    tags: list[str] = field(default_factory=list)
    rev: str = ""
    ver: str = ""
    maturity: int = 0
    accuracy: int = 0


class ActionContext(Protocol):
    """What an action may ask for while a rule is compiled."""

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The variables by upper-case name."""
        ...

    @property
    def transformations(self) -> Registry[Transformation]:
        """The transformations."""
        ...

    def macro(self, text: str, offset: int = 0) -> Macro:
        """Compile a text that may contain macros.

        Args:
            text: the text.
            offset: where it begins in the action's value, for the position of a fault.

        Raises:
            ArgumentError: a macro is wrong.
        """
        ...

    def exclusions(self, text: str, offset: int = 0) -> Sequence[Exclusion]:
        """The exclusions that a list of targets names (``ARGS:x|REQUEST_COOKIES:/^y/``).

        Args:
            text: the targets.
            offset: where they begin in the action's value, for the position of a fault.

        Raises:
            ArgumentError: a target is wrong.
        """
        ...

    def setting(self, name: str) -> Any:
        """A setting by name."""
        ...

    def warn(self, message: str, hint: str = "") -> None:
        """Report something that is probably not meant, at the action's place."""
        ...

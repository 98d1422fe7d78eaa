"""The tree of a rule file: frozen nodes with positions, names as written, nothing looked up.

Equality leaves out positions and the raw text, so that ``parse(unparse(tree)) == tree`` can hold.
Texts are `str`, decoded as UTF-8 with ``surrogateescape``, so any byte of a file survives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from waf_engine.diagnostics import Span

_NOWHERE = Span("", 0)


@dataclass(frozen=True, slots=True)
class VariableRef:
    """One target of a rule: ``ARGS``, ``!ARGS:/^x/``, ``&TX:foo``, ``XML:/*``.

    Attributes:
        name: the variable's name as written.
        selector: what follows the colon, unquoted and without slashes if it is a regex; None if there is none.
        is_regex: True for ``V:/re/`` and ``V:'/re/'`` (never for XML, whose selector is an XPath).
        count: True for ``&V``.
        exclude: True for ``!V``.
        span: position of the target (its ``!`` or ``&`` included).
        selector_span: position of the selector.
    """

    name: str
    selector: str | None = None
    is_regex: bool = False
    count: bool = False
    exclude: bool = False
    span: Span = field(default=_NOWHERE, compare=False)
    selector_span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class OperatorRef:
    r"""The operator of a rule: ``!@rx ^a``. A text without ``@`` is an ``rx``.

    Attributes:
        name: without ``@``, as written (``rx`` when it was left out).
        argument: the text after the name, without the blanks between them, ``\\"`` unescaped.
        negated: True for ``!@op``.
        span: position of the operator.
        argument_span: position of the argument.
    """

    name: str
    argument: str = ""
    negated: bool = False
    span: Span = field(default=_NOWHERE, compare=False)
    argument_span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class ActionRef:
    """One action: ``id:1``, ``deny``, ``msg:'text'``, ``setvar:'tx.a=+1'``.

    Attributes:
        name: as written.
        value: the text after the colon, trimmed, unquoted and unescaped; None when there was no colon.
        span: position of the name.
        value_span: position of the value's first character (behind the quote, if it is quoted).
    """

    name: str
    value: str | None = None
    span: Span = field(default=_NOWHERE, compare=False)
    value_span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a directive, unquoted.

    Attributes:
        text: the argument.
        span: position of its first character (behind the quote, if it is quoted).
    """

    text: str
    span: Span = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class SecRule:
    """``SecRule VARIABLES OPERATOR [ACTIONS]``."""

    variables: tuple[VariableRef, ...]
    operator: OperatorRef
    actions: tuple[ActionRef, ...] = ()
    span: Span = field(default=_NOWHERE, compare=False)
    raw: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SecAction:
    """``SecAction ACTIONS``."""

    actions: tuple[ActionRef, ...]
    span: Span = field(default=_NOWHERE, compare=False)
    raw: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SecDefaultAction:
    """``SecDefaultAction ACTIONS``."""

    actions: tuple[ActionRef, ...]
    span: Span = field(default=_NOWHERE, compare=False)
    raw: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SecMarker:
    """``SecMarker LABEL``."""

    label: str
    span: Span = field(default=_NOWHERE, compare=False)
    raw: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Directive:
    """Any other directive with its arguments, unquoted.

    Attributes:
        name: as written.
        arguments: in order.
        span: position of the name.
        raw: the text of the directive, continuation lines joined.
    """

    name: str
    arguments: tuple[Argument, ...] = ()
    span: Span = field(default=_NOWHERE, compare=False)
    raw: str = field(default="", compare=False)


Node = SecRule | SecAction | SecDefaultAction | SecMarker | Directive

"""Operators that are known and refused, each with its reason: a rule that counts on one must not load in silence.

Three are ModSecurity 2's, which neither Coraza nor libmodsecurity has; ``fuzzyHash`` libmodsecurity has if it was built
with ssdeep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators._registry import operators

if TYPE_CHECKING:
    from waf_engine.types import CompileContext, OperatorFactory

REFUSED = {
    "fuzzyHash": ("it needs the library ssdeep", "write a plug-in operator, or scan uploads with @inspectFile"),
    "gsbLookup": ("the service that it asked has ended", "use @rbl, or @pmFromFile with a list"),
    "rsub": ("an agent cannot change what passes", "let HAProxy rewrite: http-response replace-header"),
    "validateHash": ("it needs links that the engine signed, and an agent cannot change a response's body", ""),
}
"""Operator: why it is refused, and what to do instead."""


def _refuse(name: str) -> OperatorFactory:
    reason, hint = REFUSED[name]

    def refuse(_argument: str, _context: CompileContext) -> NoReturn:
        raise ArgumentError(f"@{name} is refused: {reason}", hint=hint, code="refused-operator")

    return refuse


for _name in REFUSED:
    operators.add(_refuse(_name), _name)

"""The registry of variables and the two decorators that fill it.

A variable is one decorated function in a family file. `scalar` takes a function that gives the one value
(or None where there is none), `collection` one that gives the members in order. Both read the transaction
and change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.compiler.plan import Variable
from waf_engine.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry

    Scalar = Callable[[Transaction], bytes | None]
    Collection = Callable[[Transaction], Sequence[Entry]]
    Select = Callable[[Transaction, str], Sequence[Entry]]
    CompileSelect = Callable[[str, Mapping[str, str]], str]

variables: Registry[Variable] = Registry("variable")


def scalar(name: str, *, phase: int = 1, volatile: bool = False) -> Callable[[Scalar], Scalar]:
    """Register a variable with one value.

    Args:
        name: as the manuals write it.
        phase: the first phase in which it has its value.
        volatile: whether it may change while the rules of one phase run.
    """

    def register(function: Scalar) -> Scalar:
        def read(tx: Transaction) -> Sequence[Entry]:
            value = function(tx)
            return () if value is None else ((b"", value),)

        variables.add(Variable(name, read, is_collection=False, phase=phase, volatile=volatile, scalar=function), name)
        return function

    return register


def collection(
    name: str,
    *aliases: str,
    phase: int = 1,
    volatile: bool = False,
    select: Select | None = None,
    compile_select: CompileSelect | None = None,
) -> Callable[[Collection], Collection]:
    """Register a variable with members.

    Args:
        name: as the manuals write it.
        aliases: other names for it.
        phase: the first phase in which it has all its members.
        volatile: whether it may change while the rules of one phase run.
        select: reads members by a selector that is not a key (XPath).
        compile_select: makes that selector of what a rule has, when it is loaded (see `Variable`).
    """

    def register(function: Collection) -> Collection:
        variable = Variable(
            name,
            function,
            is_collection=True,
            phase=phase,
            volatile=volatile,
            select=select,
            compile_select=compile_select,
        )
        variables.add(variable, name, *aliases)
        return function

    return register


def flag(value: object) -> bytes:
    """A truth value as the rules compare it."""
    return b"1" if value else b"0"

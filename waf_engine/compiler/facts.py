"""Facts about patterns: what a function says of a pattern, remembered while a plan is made.

A function marked as `fact` depends on its arguments alone: a pattern and perhaps an alphabet. While a `Facts` is in
use (`Facts.in_use`), each is worked out once, and whoever made the `Facts` may have brought what was found at an
earlier start (`kept_facts.py`). Afterwards nothing of it is held. No file is read or written here.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = bytes | bool | int | None
Result = TypeVar("Result", bound=Answer)
Question = tuple[str, bytes]
"""The name of a function, and the bytes of an alphabet (none for a function that takes none)."""

_MISSING: Final = object()
_sources: Final[dict[str, Path]] = {}


class Facts:
    """What is known of patterns.

    Attributes:
        known: by pattern, then by question.
        grown: whether anything was worked out that was not known before.
    """

    def __init__(self, known: dict[bytes, dict[Question, Answer]] | None = None) -> None:
        self.known = {} if known is None else known
        self.grown = False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Facts asked for by this thread, while the body runs, come from here."""
        token = _in_use.set(self)
        try:
            yield
        finally:
            _in_use.reset(token)


_in_use: Final[ContextVar[Facts | None]] = ContextVar("facts", default=None)


def fact(function: Callable[..., Result]) -> Callable[..., Result]:
    """Mark a function of a pattern, and perhaps an alphabet, whose result is worth remembering.

    The module that holds it may use those of other modules with such functions, and no others of this project: facts
    on disk are believed as long as these modules are the same.
    """
    name = f"{function.__module__}.{function.__name__}"
    _sources[function.__module__] = Path(function.__code__.co_filename)

    @wraps(function)
    def remembered(pattern: bytes, *alphabet: frozenset[int]) -> Result:
        facts = _in_use.get()
        if facts is None:
            return function(pattern, *alphabet)
        question = (name, bytes(sorted(*alphabet)) if alphabet else b"")
        answers = facts.known.setdefault(pattern, {})
        answer: Any = answers.get(question, _MISSING)
        if answer is _MISSING:
            answer = answers[question] = function(pattern, *alphabet)
            facts.grown = True
        result: Result = answer
        return result

    return remembered


def sources() -> list[Path]:
    """The files of the modules that hold such functions, in the order of their names, and this one."""
    return [*(path for _, path in sorted(_sources.items())), Path(__file__)]

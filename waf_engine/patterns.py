r"""Regular expressions on request data: RE2, and for what RE2 refuses a backtracking engine with a hard bound.

Holds the compiling of patterns and the search; what a match means is the operator's affair. Both rivals compile
dotall and multiline, so this does (engine.md 1.3, 2.4). Values and patterns are bytes: a byte of 0x80 or more in a
pattern matches itself, and caseless matching folds ASCII letters only. ``\s`` is RE2's, without VT, as in Coraza.

A pattern that RE2 refuses (lookaround, possessive quantifiers, atomic groups, backreferences) is searched twice:
RE2 looks for what every match must have (`waf_engine.relaxation`), in linear time, and only then the backtracking
engine looks for the pattern itself. That is PCRE2 (package ``pcre2``, where it is installed), whose steps are
counted, else the package ``regex``, which can only be stopped by the clock.

RE2 objects are called directly: the Python wrapper that the package puts around its own ``_re2`` doubles the time of a
search (1.0 us instead of 0.5 us, and 1.6 us instead of 0.6 us for a match).
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import re2
import regex
from re2 import _re2

try:
    import pcre2 as _pcre2
except ImportError:
    _pcre2 = None

from waf_engine.diagnostics import ArgumentError
from waf_engine.relaxation import relax

if TYPE_CHECKING:
    from collections.abc import Callable

Spans = list[tuple[int, int]]
"""Start and end of the match and of each group; (-1, -1) for a group that did not take part."""

UNANCHORED: Final = _re2.RE2.Anchor.UNANCHORED

MAX_MEMORY: Final = 8 << 20
"""Bytes that one pattern may take, its lazily built automaton included; RE2's default.

The 295 patterns of CRS take 5 MB together when compiled, and 34 MB after 300 random mixtures of attacks of 10 kB each;
with 32 MiB allowed, 43 MB in the same time."""

DEFAULT_MATCH_LIMIT: Final = 100_000
"""SecPcreMatchLimit where nothing else is said: steps of the backtracking engine from one place of the value."""

SECONDS_PER_STEP: Final = 5e-7
"""What one step of the bound is worth where only the clock can stop the engine: 50 ms for the default limit."""

_FLAGS: Final = b"(?sm)"
_BRACED: Final = re.compile(rb"\\x\{([0-9A-Fa-f]{1,2})\}")  # runs on patterns of rules only


class LimitReachedError(Exception):
    """The backtracking engine was stopped: whether the pattern matches is not known."""


class _NoEngineError(Exception):
    """No engine takes the pattern."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern.

    Attributes:
        source: the pattern as it was given.
        engine: ``re2``, ``pcre2`` or ``regex``.
        search: a value to the spans of the leftmost match, or None. Raises `LimitReachedError` (never with RE2).
        necessary: a pattern in RE2's syntax that matches whenever this one does: this one itself where RE2 takes it;
            None where there is none.
        native: the RE2 object, for callers that save a call: ``native.Match(UNANCHORED, value, 0, len(value))``
            gives spans, the first of which is (-1, -1) when nothing matched. None with another engine.
    """

    source: bytes
    engine: str
    search: Callable[[bytes], Spans | None]
    necessary: bytes | None
    native: Any = None


def re2_options(*, longest: bool = False, max_memory: int = MAX_MEMORY) -> re2.Options:
    """The options of all that runs on RE2: bytes, no logging.

    Args:
        longest: the longest of the leftmost matches instead of the first alternative.
        max_memory: see `MAX_MEMORY`.
    """
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.never_nl = False
    options.longest_match = longest
    options.max_mem = max_memory
    return options


def compile_re2(pattern: bytes) -> Any:
    """The RE2 object of a pattern, dotall and multiline.

    Raises:
        ArgumentError: RE2 refuses it.
    """
    native = _re2.RE2(_FLAGS + pattern, re2_options())
    if not native.ok():
        raise _fault(pattern, bytes(native.error()))
    return native


def compile_pattern(pattern: bytes, match_limit: int = DEFAULT_MATCH_LIMIT) -> Pattern:
    """Compile a pattern for the first engine that takes it.

    Args:
        pattern: RE2's syntax, or PCRE's.
        match_limit: the bound on backtracking, in steps; RE2 needs none.

    Raises:
        ArgumentError: no engine takes it; the reason is RE2's, the offset counts characters.
    """
    try:
        native = compile_re2(pattern)
    except ArgumentError as refused:
        try:
            return _compile_backtracking(pattern, match_limit)
        except _NoEngineError:
            raise refused from None
    return Pattern(pattern, "re2", _re2_search(native), pattern, native)


def _re2_search(native: Any) -> Callable[[bytes], Spans | None]:
    match = native.Match

    def search(value: bytes) -> Spans | None:
        spans: Spans = match(UNANCHORED, value, 0, len(value))
        return None if spans[0][0] < 0 else spans

    return search


def _compile_backtracking(pattern: bytes, match_limit: int) -> Pattern:
    """A pattern on the backtracking engine, behind what every match of it must have.

    Raises:
        _NoEngineError: the engine refuses it too.
    """
    name, exact = _BACKTRACKING(pattern, match_limit)
    relaxed = relax(pattern)
    gate = None
    if relaxed is not None:
        try:
            gate = compile_re2(relaxed).Match
        except ArgumentError:
            relaxed = None
    if gate is None:
        return Pattern(pattern, name, exact, None)
    may_match = gate

    def search(value: bytes) -> Spans | None:
        if may_match(UNANCHORED, value, 0, len(value))[0][0] < 0:
            return None
        return exact(value)

    return Pattern(pattern, name, search, relaxed)


def _compile_pcre2(pattern: bytes, match_limit: int) -> tuple[str, Callable[[bytes], Spans | None]]:
    """PCRE2 with its just-in-time compiler; the limit is counted from each place where a match could begin."""
    flags = _pcre2.DOTALL | _pcre2.MULTILINE
    try:
        limited = b"(*LIMIT_MATCH=%d)" % match_limit + _without_braces(pattern)
        try:
            compiled = _pcre2.compile(limited, flags)
        except _pcre2.LibraryError:  # it gets no memory for machine code: systemd's MemoryDenyWriteExecute, SELinux
            compiled = _pcre2.compile(limited, flags, jit=False)
    except (_pcre2.PatternError, _pcre2.LibraryError, ValueError) as error:
        raise _NoEngineError from error
    find, groups, stopped = compiled.search, range(compiled.groups + 1), _pcre2.LibraryError

    def search(value: bytes) -> Spans | None:
        try:
            found = find(value)
        except stopped:
            raise LimitReachedError from None
        return None if found is None else [found.span(group) for group in groups]

    return "pcre2", search


def _compile_regex(pattern: bytes, match_limit: int) -> tuple[str, Callable[[bytes], Spans | None]]:
    """The package regex, stopped by the clock."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "possible nested set": PCRE has none, and neither has version 0
            compiled = regex.compile(_for_regex(pattern), regex.DOTALL | regex.MULTILINE | regex.VERSION0)
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        raise _NoEngineError from error
    find, timeout = compiled.search, max(match_limit, 1) * SECONDS_PER_STEP

    def search(value: bytes) -> Spans | None:
        try:
            found = find(value, timeout=timeout, concurrent=True)
        except (TimeoutError, MemoryError):
            raise LimitReachedError from None
        return None if found is None else list(found.regs)

    return "regex", search


def _without_braces(pattern: bytes) -> bytes:
    r"""``\x{41}`` as ``\x41``, which both packages know; the former neither does (pcre2 turns PCRE2's ALT_BSUX on)."""
    pieces = [
        _BRACED.sub(lambda found: b"\\x" + found[1].zfill(2), piece)
        for piece in pattern.split(b"\\\\")  # a pair of backslashes stands for itself
    ]
    return b"\\\\".join(pieces)


def _for_regex(pattern: bytes) -> bytes:
    r"""PCRE's words in the package's: ``\z``, ``\Z`` and ``\x{41}``, outside of pairs of backslashes."""
    pieces = [
        piece.replace(b"\\Z", b"(?=\\n?\\z)").replace(b"\\z", b"\\Z")
        for piece in _without_braces(pattern).split(b"\\\\")
    ]
    return b"\\\\".join(pieces)


_BACKTRACKING: Final = _compile_regex if _pcre2 is None else _compile_pcre2


def _fault(pattern: bytes, error: bytes) -> ArgumentError:
    """RE2's reason as an error at its place in the pattern."""
    reason, _, fragment = error.partition(b": ")
    offset = -1
    if fragment and fragment != _FLAGS + pattern:
        offset = pattern.find(fragment.removeprefix(_FLAGS))
    if offset < 0:
        offset = _regex_offset(pattern)
    shown = fragment.decode("utf-8", "replace")[:40] if fragment != _FLAGS + pattern else ""
    message = f"wrong regular expression: {reason.decode()}" + (f" {shown!r}" if shown else "")
    characters = len(pattern[:offset].decode("utf-8", "surrogateescape"))
    return ArgumentError(message, offset=characters, code="bad-pattern")


def _regex_offset(pattern: bytes) -> int:
    """Where the package regex sees the fault, which RE2 does not tell of a parenthesis; 0 when it sees none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regex.compile(pattern)
    except regex.error as error:
        return min(getattr(error, "pos", None) or 0, len(pattern))  # types-regex does not know it
    except (ValueError, OverflowError, RecursionError):
        return 0
    return 0

"""Operators that ask libinjection.

Holds no detection of its own: that is the C library's (`waf_engine.libinjection`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine import libinjection
from waf_engine.diagnostics import ArgumentError
from waf_engine.operators._registry import operators
from waf_engine.types import MATCHED

if TYPE_CHECKING:
    from waf_engine.types import Captures, CompileContext, Test, TransactionView


def _library(context: CompileContext) -> libinjection.Libinjection:
    """The library of the settings, or the first that is found.

    Raises:
        ArgumentError: there is none.
    """
    try:
        return libinjection.load(context.setting("libinjection"))
    except libinjection.LibinjectionNotFoundError as error:
        raise ArgumentError(error.message, hint=error.hint, code="no-libinjection") from error


@operators.register("detectSQLi")
def detect_sqli(_argument: str, context: CompileContext) -> Test:
    """The value is an SQL injection to libinjection.

    Argument: none; what stands there is ignored.
    Matches: a value with the fingerprint of an injection, which becomes TX.0 (with ``capture``).
    Example: @detectSQLi
        matches "1' OR '1'='1"
        not "O'Reilly"
    """
    sqli = _library(context).sqli

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        fingerprint = sqli(value)
        return None if fingerprint is None else (fingerprint,)

    return test


@operators.register("detectXSS")
def detect_xss(_argument: str, context: CompileContext) -> Test:
    """The value is cross-site scripting to libinjection.

    Argument: none; what stands there is ignored.
    Matches: a value that would run a script in some place of an HTML page.
    Example: @detectXSS
        matches "<script>alert(1)</script>"
        not "1 < 2"
    """
    xss = _library(context).xss

    def test(value: bytes, _tx: TransactionView) -> Captures | None:
        return MATCHED if xss(value) else None

    return test

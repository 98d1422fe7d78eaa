"""The debug log: what a transaction did, in lines, for people who write rules (SecDebugLog, SecDebugLogLevel).

Neither engine's wording is kept, for it tells of their insides; the levels' order is (engine.md 1.1): 1 errors,
2 verdicts, 3 logged matches, 4 the exchange and every match, 5 the values that matched, 6 to 8 TX at the end,
9 headers and arguments. Values are masked as in the other logs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from waf_engine.audit.files import AppendFile
from waf_engine.audit.texts import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from waf_engine.runtime.transaction import Transaction

ERRORS, VERDICTS, MATCHES, EXCHANGE, VALUES, VARIABLES, REQUEST = 1, 2, 3, 4, 5, 6, 9
MAX_LINES = 2000
MAX_LINE = 1024


class DebugFile:
    """The sink of the debug log."""

    def __init__(self, path: str, mode: int) -> None:
        self._file = AppendFile(path, mode)

    def write(self, lines: bytes) -> None:
        """Append the lines of one transaction."""
        self._file.append(lines)

    def reopen(self) -> None:
        """Open the file anew with the next lines."""
        self._file.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def debug_lines(tx: Transaction, level: int) -> bytes:
    """The lines of a finished transaction, up to a level: ``[TIME] [ID] [LEVEL] TEXT``."""
    at = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(tx.started))
    head = f"[{at}] [{tx.id}] ".encode("utf-8", "surrogateescape")
    lines: list[bytes] = []
    for severity, text in _events(tx, level):
        if severity <= level and len(lines) < MAX_LINES:
            lines.append(one_line(head + b"[%d] " % severity + text[:MAX_LINE]) + b"\n")
    return b"".join(lines)


def _events(tx: Transaction, level: int) -> Iterator[tuple[int, bytes]]:
    """What happened, as (level, text)."""
    mask, request, response = tx.sanitiser, tx.request, tx.response
    uri = request.uri_raw if mask is None else mask.uri(request.uri_raw)
    yield EXCHANGE, b"request %b %b %b from %b" % (request.method, uri, request.protocol, tx.connection.client_ip)
    if level >= REQUEST:
        for name, value in request.headers:
            yield REQUEST, b"header %b: %b" % (name, mask.header(name, value, response=False) if mask else value)
        for name, value in (*request.args_get, *request.args_post, *request.args_path):
            yield REQUEST, b"argument %b=%b" % (name, mask.member("ARGS", name, value) if mask else value)
    for error in (request.error, response.error):
        if error:
            yield ERRORS, f"body: {error}".encode("utf-8", "surrogateescape")
    for limit, count in tx.limits.items():
        yield ERRORS, f"limit {limit} was reached {count} times".encode("utf-8", "surrogateescape")
    for matched in tx.matched_rules:
        shown = matched.shown
        about = f"rule {shown.rule_id} matched in phase {shown.phase}: {shown.message}"
        yield MATCHES if shown.log else EXCHANGE, about.encode("utf-8", "surrogateescape")
        for match in shown.matches if level >= VALUES else ():
            yield VALUES, f"  {match.name}: ".encode("utf-8", "surrogateescape") + match.value[:MAX_LINE]
    if tx.interruption is not None:
        verdict = tx.interruption
        yield VERDICTS, f"{verdict.action}, status {verdict.status}, by rule {verdict.rule_id}".encode()
    if response.status:
        yield EXCHANGE, b"response %b %b" % (response.protocol, response.status)
    for key, value in tx.tx.items() if level >= VARIABLES else ():
        yield VARIABLES, b"TX:%b=%b" % (key, mask.member("TX", key, value) if mask else value)

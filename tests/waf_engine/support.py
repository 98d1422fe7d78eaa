"""What the engine's tests share: one exchange from request line to logging, and faults as plain tuples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from waf_engine import WAF, SecLangError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from waf_engine import Transaction

    Headers = Iterable[tuple[str | bytes, str | bytes]]

executor = "plan"
"""How the WAFs made here run rules; the fixture `each_executor` sets it."""

FORM = ("Content-Type", "application/x-www-form-urlencoded")


def load(text: str, **options: Any) -> WAF:
    """A WAF of a text."""
    return WAF.from_directives(text, **{"executor": executor, **options})


def begin(waf: WAF | str, *, id: str = "T1", **options: Any) -> Transaction:  # noqa: A002  the engine's own word
    """A transaction with its connection: client 192.0.2.7:50000, server 198.51.100.1:80."""
    if isinstance(waf, str):
        waf = load(waf, **options)
    tx = waf.transaction(id)
    tx.process_connection("192.0.2.7", 50000, "198.51.100.1", 80)
    return tx


def exchange(
    waf: WAF | str,
    uri: str | bytes = "/",
    *,
    method: str = "GET",
    headers: Headers = (),
    body: bytes | None = None,
    status: int = 200,
    response_headers: Headers = (("Content-Type", "text/html"),),
    response_body: bytes | None = None,
    **options: Any,
) -> Transaction:
    """A whole exchange, all phases in order; a body of the request is a form unless a header says otherwise."""
    tx = begin(waf, **options)
    headers = list(headers)
    if body is not None and not any(_text(name).lower() == "content-type" for name, _ in headers):
        headers.append(FORM)
    tx.process_uri(uri, "POST" if body is not None and method == "GET" else method, "HTTP/1.1")
    for name, value in headers:
        tx.add_request_header(name, value)
    tx.process_request_headers()
    if body is not None:
        tx.write_request_body(body)
    tx.process_request_body()
    for name, value in response_headers:
        tx.add_response_header(name, value)
    tx.process_response_headers(status, "HTTP/1.1")
    if response_body is not None:
        tx.write_response_body(response_body)
    tx.process_response_body()
    tx.process_logging()
    tx.close()
    return tx


def matched(tx: Transaction) -> list[int]:
    """The ids of the rules that matched, in order."""
    return [rule.rule_id for rule in tx.matched_rules]


def values(tx: Transaction, variable: str) -> list[tuple[bytes, bytes]]:
    """The members of a variable now."""
    return list(tx.plan.variables[variable].read(tx))


def faults(text: str, **options: Any) -> list[tuple[str, int, int]]:
    """The errors of a rule set that must be refused: (code, line, column)."""
    with pytest.raises(SecLangError) as caught:
        WAF.from_directives(text, **options)
    return [(d.code, d.span.line, d.span.column) for d in caught.value.errors]


def warnings(text: str, **options: Any) -> list[tuple[str, int, int]]:
    """The warnings of a rule set that loads: (code, line, column)."""
    plan = WAF.from_directives(text, **options).plan
    return [(d.code, d.span.line, d.span.column) for d in plan.diagnostics]


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("latin-1")

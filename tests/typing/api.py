"""A user's program that only mypy reads: the public names of waf_engine, with the types that they promise."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from waf_engine import (
    WAF,
    CollectionStore,
    Diagnostic,
    Interruption,
    MatchedRule,
    MatchedValue,
    MemoryStore,
    SecLangError,
    Settings,
    Severity,
    Span,
    Transaction,
    actions,
    body_processors,
    directives,
    operators,
    transformations,
    variables,
)
from waf_engine.types import MATCHED, Captures, CompileContext, Test, TransactionView


def on_match(tx: Transaction, rule: MatchedRule) -> None:
    assert_type(tx.id, str)
    assert_type(rule.rule_id, int)
    assert_type(rule.matches, tuple[MatchedValue, ...])
    assert_type(rule.coraza_line(), str)
    assert_type(rule.severity, int | None)
    assert_type(rule.tags, tuple[str, ...])
    for match in rule.matches:
        assert_type(match.name, str)
        assert_type(match.value, bytes)


def load(paths: list[str | Path], store: CollectionStore) -> WAF | None:
    try:
        return WAF.from_files(paths, root=Path("/etc"), on_match=on_match, store=store, executor="reference")
    except SecLangError as error:
        for diagnostic in error.diagnostics:
            assert_type(diagnostic, Diagnostic)
            assert_type(diagnostic.severity, Severity)
            assert_type(diagnostic.span, Span)
            assert_type(diagnostic.render(), str)
        return None


def judge(waf: WAF, headers: list[tuple[bytes, bytes]], body: bytes) -> Interruption | None:
    tx = waf.transaction("id")
    try:
        tx.process_connection("192.0.2.1", 1024, b"192.0.2.2", 443)
        tx.process_uri(b"/", "POST", "HTTP/1.1")
        for name, value in headers:
            tx.add_request_header(name, value)
        verdict = tx.process_request_headers() or tx.write_request_body(body) or tx.process_request_body()
        assert_type(verdict, Interruption | None)
        if verdict is not None:
            assert_type(verdict.action, str)
            assert_type(verdict.status, int)
            return verdict
        tx.add_response_header("Content-Type", "text/html")
        tx.process_response_headers(200, "HTTP/1.1")
        tx.write_response_body(memoryview(body))
        assert_type(tx.process_response_body(), Interruption | None)
        assert_type(tx.matched_rules, list[MatchedRule])
        return tx.interruption
    finally:
        tx.process_logging()
        tx.close()


@operators.register("isPalindrome")
def is_palindrome(argument: str, context: CompileContext) -> Test:  # this is for types: a plug-in fills a copy
    limit = int(argument or "0")
    context.warn("slow for long values", hint="set a limit")

    def test(value: bytes, tx: TransactionView) -> Captures | None:
        assert_type(tx.variable("REMOTE_ADDR"), bytes | None)
        return MATCHED if len(value) > limit and value == value[::-1] else None

    return test


@transformations.register("reverse")
def reverse(value: bytes) -> bytes:
    return value[::-1]


def main() -> None:
    waf = load(["rules/*.conf"], MemoryStore(max_collections=1_000))
    assert waf is not None
    assert_type(waf.plan.settings, Settings)
    names: list[str] = [*actions, *body_processors, *directives, *operators, *transformations, *variables]
    assert "rx" in operators
    assert_type(reverse(b"abc"), bytes)
    judge(waf, [(b"Host", b"example.com")], b"".join(name.encode() for name in names))

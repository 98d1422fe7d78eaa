"""Ordinary requests, run while a plan is made: where they stop.

A stretch of the clean way (`runtime/planned.py`) costs next to nothing as long as none of its rules wants to be
evaluated. Some rules are evaluated for nearly every request, since they note its headers or its body's type. These are
found by running a few ordinary requests, and stand alone, so that those around them stay in stretches. What is found
here changes the cost of a plan, never an outcome. Bodies are left out: parsers are other people's, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from waf_engine.runtime.planned import PlannedExecutor
    from waf_engine.runtime.transaction import Executor, Transaction

_BROWSER: Final = (
    (b"Host", b"www.example.com"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"Accept-Language", b"en-GB,en;q=0.5"),
    (b"Cookie", b"session=0123456789abcdef; theme=dark"),
)
Request = tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]
"""Method, target, headers."""

REQUESTS: Final[tuple[Request, ...]] = (
    (b"GET", b"/", _BROWSER[:3]),
    (b"GET", b"/shop/list?page=2&sort=name", _BROWSER),
    (
        b"POST",
        b"/login",
        (*_BROWSER, (b"Content-Type", b"application/x-www-form-urlencoded"), (b"Content-Length", b"26")),
    ),
    (
        b"POST",
        b"/api/orders",
        (*_BROWSER, (b"Content-Type", b"application/json"), (b"Content-Length", b"25")),
    ),
)


def stops(executor: PlannedExecutor, blank: Callable[[Executor], Transaction]) -> dict[tuple[int, ...], frozenset[int]]:
    """Where ordinary requests stop.

    Args:
        executor: runs them.
        blank: makes a transaction that nobody hears of, run by the given executor.

    Returns:
        By the phases that ran, the last included: the positions of the rules that want to be evaluated.
    """
    found: dict[tuple[int, ...], set[int]] = {}
    for method, target, headers in REQUESTS:
        tx = blank(_watching(executor, found))
        tx.process_connection("192.0.2.1", 50_000, "198.51.100.1", 443)
        tx.process_uri(target, method, b"HTTP/1.1")
        for name, value in headers:
            tx.add_request_header(name, value)
        tx.process_request_headers()
        tx.process_request_body()
        tx.add_response_header(b"Content-Type", b"text/html")
        tx.process_response_headers(200, b"HTTP/1.1")
        tx.process_response_body()
        tx.process_logging()
        tx.close()
    return {history: frozenset(positions) for history, positions in found.items()}


def _watching(executor: PlannedExecutor, found: dict[tuple[int, ...], set[int]]) -> Executor:
    """An executor that notes what it is about to visit, as far as can be told before a phase."""

    def run(tx: Transaction, phase: int) -> None:
        history = (*tx.clean_phases, phase)
        executor(tx, phase)
        if tx.clean and tx.clean_phases == history:
            found.setdefault(history, set()).update(executor.wanted(tx, history))

    return run

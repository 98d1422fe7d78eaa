"""Whether memory stays flat: resident memory of one handler over very many transactions, without HAProxy.

    ./dev bench memory [--transactions 1000000] [--rules DIR] [--small]

NOTIFYs go into the handler of a worker in this process. They are bare GETs (R1), browsers' (R2), logins (R3) and
attacks that are blocked (R6), no two alike, from 20,000 addresses. Most get a response, 50 requests later; one in ten
gets none and expires; and in bursts of 3,000 nothing is answered, so that the oldest that wait are evicted. Time is
counted, not waited for: a transaction takes a millisecond.

Rules are a CRS as for `./dev bench engine`; with --small a few rules of each kind, with a persistent collection.
Exit status 1 when more is in use at the end than `SLACK` above what was after the first tenth.
"""

from __future__ import annotations

import argparse
import gc
import ipaddress
import logging
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from adapters.applications import Application  # noqa: E402  # this tree is measured, installed or not
from adapters.transactions import REMEMBERED, TransactionStore  # noqa: E402
from adapters.waf_handler import WafHandler  # noqa: E402
from benchmarks.engine.engines import find_rules, resident  # noqa: E402
from benchmarks.engine.requests import request  # noqa: E402
from spop_proto import Message, Notify  # noqa: E402
from waf_engine import WAF  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.evaluation import Exchange
    from spop_proto._typed_data import Value

SMALL_RULES = """
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.count=+1,expirevar:ip.count=60"
SecRule REQUEST_HEADERS:User-Agent "@rx ([a-z]+)/([0-9.]+)" "id:2,phase:1,pass,nolog,capture,setvar:tx.agent=%{TX.1}"
SecRule ARGS|REQUEST_COOKIES "@pm union <script onerror onload" "id:3,phase:2,deny,log,msg:'an attack'"
SecRule ARGS "@rx (?i:drop\\s+table|sleep\\(|'[^']*'=')" "id:4,phase:2,deny,log,msg:'an attack'"
SecRule &ARGS "@ge 5" "id:5,phase:2,pass,log,msg:'a form'"
SecRule RESPONSE_BODY "@contains quiet" "id:6,phase:4,pass,nolog"
"""
KINDS = ("R1", "R2", "R1", "R3", "R1", "R2", "R1", "R6", "R1", "R1")
PAGE = b"<!doctype html><title>books</title><p>a shelf of quiet books</p>\n"
RESPONSE_HEADERS = b"content-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(PAGE)
ADDRESSES, FIRST_ADDRESS = 20_000, 0x0A000001
DELAY, CYCLE, BURST = 50, 10_000, 3_000
LIMIT, TTL = 2_000, 4.0
SLACK = 4.0
"""MiB that count as flat: of a million transactions four bytes each, less than the smallest object has."""


class Traffic:
    """Requests and responses, given to a handler.

    Args:
        directives: the rules.
        options: of `WAF.from_directives`.
    """

    def __init__(self, directives: str, **options: Any) -> None:
        self.now, self.number = 0.0, 0
        logger = logging.Logger("bench")  # noqa: LOG001  one of its own, that nobody configures
        logger.addHandler(logging.NullHandler())
        self.waf = WAF.from_directives(directives, **options)
        self.store: TransactionStore[Exchange] = TransactionStore(LIMIT, TTL, lambda: self.now, remembered=REMEMBERED)
        application = Application("shop", self.waf, response_check=True, store=self.store, logger=logger)
        self.handler = WafHandler({"shop": application}, "shop", logger)
        self.blocked = self.troubles = 0
        self._answers_due: deque[int] = deque()

    def run(self, count: int) -> None:
        """So many more transactions."""
        for _ in range(count):
            self.now += 0.001
            self.number += 1
            passed = self._request(_key(self.number))
            in_burst = self.number % CYCLE < BURST
            if passed and not in_burst and self.number % 10:
                self._answers_due.append(self.number)
            if self._answers_due and self._answers_due[0] <= self.number - DELAY:
                self._response(_key(self._answers_due.popleft()))
            if not self.number % 1000:
                self.handler.expire()

    def _request(self, key: str) -> bool:
        """Whether it passed."""
        asked = request(KINDS[self.number % len(KINDS)], self.number)
        path, _, query = asked.target.partition("?")
        headers = "".join(f"{name.lower()}: {value}\r\n" for name, value in asked.headers) + "\r\n"
        arguments: tuple[tuple[str, Value], ...] = (
            ("id", key),
            ("src-ip", ipaddress.IPv4Address(FIRST_ADDRESS + self.number * 7 % ADDRESSES)),
            ("src-port", 40_000),
            ("method", asked.method),
            ("path", path),
            ("query", query or None),
            ("version", "1.1"),
            ("headers", headers.encode()),
            ("body", asked.body),
        )
        said = self._ask("coraza-req", arguments)
        self.blocked += said.get("fail") == 1
        return said.get("fail") == 0

    def _response(self, key: str) -> None:
        arguments = (("id", key), ("version", "1.1"), ("status", 200), ("headers", RESPONSE_HEADERS), ("body", PAGE))
        self._ask("coraza-res", arguments)

    def _ask(self, name: str, arguments: tuple[tuple[str, Value], ...]) -> dict[str, object]:
        notify = Notify(self.number, 1, (Message(name, arguments),))
        said = {action.name: getattr(action, "value", None) for action in self.handler(notify)}
        self.troubles += "error" in said
        return said


def _key(number: int) -> str:
    return f"id-{number:012d}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print resident memory at each tenth; exit status 1 if it is not flat."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--transactions", type=int, default=1_000_000, help="(%(default)s)")
    parser.add_argument("--rules", type=Path, metavar="DIR", help="a CRS: the folder with crs-setup.conf and rules/")
    parser.add_argument("--small", action="store_true", help="a few rules instead of a CRS: fifty times as fast")
    options = parser.parse_args(arguments)
    directives, about = (SMALL_RULES, "a few, see SMALL_RULES") if options.small else find_rules(options.rules)
    traffic = Traffic(directives)
    gc.collect()
    gc.freeze()  # as the agent does
    print(f"rules: {about}\n{'transactions':>12}{'MiB':>9}{'seconds':>9}")
    print(f"{0:12}{resident():9.1f}{0:9.0f}", flush=True)
    begun, found = time.monotonic(), []
    for _ in range(10):
        traffic.run(max(1, options.transactions // 10))
        found.append(resident())
        print(f"{traffic.number:12}{found[-1]:9.1f}{time.monotonic() - begun:9.0f}", flush=True)
    counted = traffic.store.counters
    ends = (
        f"answered {counted.taken}, expired {counted.expired}, evicted {counted.evicted}, waiting {len(traffic.store)}"
    )
    print(f"blocked {traffic.blocked}, {ends}, without a verdict {traffic.troubles}")
    grown = found[-1] - found[0]
    print(f"from the first tenth to the end: {grown:+.1f} MiB, {'flat' if grown <= SLACK else 'NOT FLAT'}")
    return int(grown > SLACK)


if __name__ == "__main__":
    sys.exit(main())

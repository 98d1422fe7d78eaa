"""What the tests of the logs share: one exchange that all formats show, and a writer that keeps what it is given."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waf_engine import WAF, Transaction
    from waf_engine.audit import AuditEntry

NOON = 1_790_078_400.25
NOON_NS = 1_790_078_400_250_000_000
"""2026-09-22 12:00:00 UTC."""

RULES = r"""
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecAuditEngine On
SecAuditLogParts ABCEFHIJKZ
SecComponentSignature "OWN/1.0"
SecServerSignature "Shop"
SecSensorId "sensor-7"
SecRule ARGS:q "@contains select" "id:1,phase:2,pass,log,auditlog,t:none,t:lowercase,\
    msg:'SQL in %{MATCHED_VAR_NAME}',logdata:'%{MATCHED_VAR}',severity:'CRITICAL',tag:'sql',tag:'own',ver:'1.0',rev:'2'"
SecRule ARGS:q "@contains union" "id:2,phase:2,pass,log,noauditlog,t:lowercase,msg:'not in the audit log'"
SecRule RESPONSE_STATUS "@streq 200" "id:3,phase:3,deny,status:403,log,auditlog,msg:'no answer today'"
"""

BODY = b"token=t%20k&note=caf\xc3\xa9-\xff"

RAW = (
    b'POST /shop/find?q=UNION%20SELECT&x=1 HTTP/1.1\r\nHost: shop.example:443\r\nUser-Agent: odd "agent"\r\n'
    b"Content-Type: application/x-www-form-urlencoded\r\nX-Forwarded-For: 203.0.113.9\r\n"
    b"X-Forwarded-For: 203.0.113.10\r\n\r\n" + BODY
)
"""The request of `run` as it would stand on the wire."""


class Kept:
    """A writer that keeps entries, and says from which thread it was called."""

    def __init__(self) -> None:
        self.entries: list[tuple[AuditEntry, bytes]] = []
        self.threads: set[int] = set()
        self.reopened = self.closed = 0

    def write(self, entry: AuditEntry, data: bytes) -> None:
        self.threads.add(threading.get_ident())
        self.entries.append((entry, data))

    def reopen(self) -> None:
        self.reopened += 1

    def close(self) -> None:
        self.closed += 1


def run(
    waf: WAF, *, uri: bytes = b"/shop/find?q=UNION%20SELECT&x=1", body: bytes = BODY, answered: bool = True
) -> Transaction:
    """One exchange from the connection to the log."""
    tx = waf.transaction("TX-1")
    tx.process_connection("192.0.2.7", 50000, "198.51.100.1", 443)
    tx.process_uri(uri, "POST", "HTTP/1.1")
    tx.add_request_header("Host", "shop.example:443")
    tx.add_request_header("User-Agent", 'odd "agent"')
    tx.add_request_header("Content-Type", "application/x-www-form-urlencoded")
    tx.add_request_header("X-Forwarded-For", "203.0.113.9")
    tx.add_request_header("X-Forwarded-For", "203.0.113.10")
    tx.process_request_headers()
    tx.write_request_body(body)
    tx.process_request_body()
    if answered:
        tx.add_response_header("Content-Type", "text/html")
        tx.add_response_header("Set-Cookie", "a=1")
        tx.process_response_headers(200, "HTTP/1.1")
        tx.write_response_body(b"<p>42</p>")
        tx.process_response_body()
    tx.process_logging()
    return tx

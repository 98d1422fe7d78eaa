"""What applications can be set to do, seen through real HAProxys: hosts, proxies, skip lists, pages, cut bodies."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from adapters.block_page import MAX_FILLED, MAX_PAGE
from adapters.verdicts import VARIABLES
from tests.adapters.harness import Processes, Site, free_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.haproxy, pytest.mark.slow]

# One thread: of lines that several write at once HAProxy drops some, and these tests read them.
HAPROXY_CFG = """\
global
    nbthread 1
    log stdout format raw local0 info
    lua-load seen.lua
defaults
    log global
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 30s

frontend test
    mode http
    bind 127.0.0.1:{port}
    bind 127.0.0.1:{proxied} accept-proxy
    bind 127.0.0.1:{h2} proto h2
    unique-id-format %[uuid()]
    {wait}
    filter spoe engine coraza config coraza.cfg
    http-request lua.see
    http-response lua.see
    http-after-response set-header X-Fail %[var(txn.coraza.fail)]
    http-after-response set-header X-Id %[var(txn.coraza.id)]
    http-request deny deny_status 413 if {{ var(txn.coraza.status) -m int eq 413 }}
    http-request return status 403 content-type text/html lf-string "%[var(txn.coraza.block_page)]" if {{ var(txn.coraza.block_page) -m found }}
    http-request deny if {{ var(txn.coraza.fail) -m int eq 1 }}
    http-request deny deny_status 504 if {{ var(txn.coraza.error) -m int gt 0 }}
    http-response deny deny_status 502 if {{ var(txn.coraza.fail) -m int eq 1 }}
    http-response deny deny_status 504 if {{ var(txn.coraza.error) -m int gt 0 }}
    default_backend site

backend site
    server site 127.0.0.1:{site}

backend coraza-spoa
    mode tcp
    timeout server 1m
    server agent 127.0.0.1:{agent}
"""  # noqa: E501  a line of HAProxy's cannot be broken

SEEN_LUA = """\
-- Names that HAProxy's configuration does not mention: it knows them only when they are registered.
local names = { NAMES }
local function see(txn)
    for _, name in ipairs(names) do
        local value = txn:get_var("txn.coraza." .. name)
        if value ~= nil then txn:Info("seen " .. name .. "=" .. tostring(value) .. ";") end
    end
end
core.register_action("see", { "http-req", "http-res" }, see)
"""

CORAZA_CFG = """\
[coraza]
spoe-agent coraza-agent
    messages coraza-req coraza-res
    option var-prefix coraza
    option set-on-error error
    {register}
    timeout hello 30s
    timeout idle 2m
    timeout processing 60s
    use-backend coraza-spoa
spoe-message coraza-req
    args id=unique-id src-ip=src src-port=src_port method=method path=path query=query version=req.ver headers=req.hdrs body=req.body
    event on-frontend-http-request
spoe-message coraza-res
    args id=unique-id version=res.ver status=status headers=res.hdrs body=res.body
    event on-http-response
"""  # noqa: E501  as above

REGISTER = "register-var-names reason app mode time_us score_out body_truncated block_page rule_ids"

APPLICATION = """\
  - name: {name}
    hosts: [{host}]
    directives: |
      SecRuleEngine On
      SecRequestBodyAccess On
      SecResponseBodyAccess On
      SecRequestBodyLimitAction {action}
      SecRule ARGS "@contains attack" "id:920100,phase:2,deny,status:403,log,msg:'an attack',severity:CRITICAL"
      SecRule REQUEST_HEADERS:X-Who "@eq 1" "id:100,phase:1,pass,log,msg:'who: %{{REMOTE_ADDR}} %{{REMOTE_PORT}}'"
      SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:101,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
      SecRule REQBODY_ERROR "!@eq 0" "id:200002,phase:2,deny,status:400,log,msg:'malformed'"
      SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:200003,phase:2,deny,status:400,log,msg:'malformed'"
    response_check: true
{more}"""

AGENT = """\
bind: 127.0.0.1:{agent}
workers: {workers}
log_level: info
log_file: agent.log
log_format: console
default_application: shop
applications:
"""


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Stand:
    """HAProxy, the site, and an agent with four applications."""

    def __init__(self, processes: Processes, binary: str, site: Site) -> None:
        self.processes, self.binary, self.site = processes, binary, site
        self.port, self.proxied, self.h2, self.agent = free_ports(4)

    @property
    def folder(self) -> Path:
        return self.processes.folder

    def start(
        self,
        *,
        wait: str = "option http-buffer-request",
        register: str = REGISTER,
        page: str = "",
        site: int = 0,
        workers: int = 2,
    ) -> None:
        (self.folder / "page.html").write_text(page or "<p>%{UNIQUE_ID} %{RULE_ID}</p>")
        shop = '    skip: {paths: ["/static/*"]}\n    block_page: page.html\n'
        config = AGENT.format(agent=self.agent, workers=workers) + "".join(
            APPLICATION.format(name=name, host=host, action=action, more=more)
            for name, host, action, more in (
                ("shop", "shop.example", "Reject", shop),
                ("partial", '"*.partial.example"', "ProcessPartial", ""),
                ("detect", "detect.example", "Reject", "    detect_only: true\n"),
                ("cdn", "cdn.example", "Reject", "    trusted_proxies: [127.0.0.0/8, 192.0.2.0/24]\n"),
            )
        )
        self.processes.start_agent(config, self.agent)
        names = ", ".join(f'"{name}"' for name in VARIABLES)
        (self.folder / "seen.lua").write_text(SEEN_LUA.replace("NAMES", names))
        (self.folder / "coraza.cfg").write_text(CORAZA_CFG.format(register=register))
        (self.folder / "haproxy.cfg").write_text(
            HAPROXY_CFG.format(
                port=self.port,
                proxied=self.proxied,
                h2=self.h2,
                site=site or self.site.port,
                agent=self.agent,
                wait=wait,
            )
        )
        self.processes.start_haproxy(self.binary, self.folder / "haproxy.cfg", self.port)

    def fetch(self, target: str, host: str = "shop.example", body: bytes | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        method = "GET" if body is None else "POST"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.suppress(ConnectionError):  # refused before all of it was sent
            connection.request(method, target, body, {"Host": host, **names})
        response = connection.getresponse()
        reply = Reply(response.status, response.headers, response.read())
        connection.close()
        return reply

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def seen(self) -> list[str]:
        """The variables that HAProxy had, as ``name=value``, in order."""
        lines = (self.folder / "haproxy.out").read_text().split("seen ")[1:]
        return [line.partition(";")[0] for line in lines]

    def cut(self) -> list[tuple[str, str]]:
        """The applications of which the log says that a body was cut, and the lines."""
        lines = [line for line in self.log().splitlines() if "was cut" in line]
        return [(line.partition(" app=")[2].partition(" ")[0], line) for line in lines]

    def wait_for(self, happened: Callable[[], bool]) -> None:
        for _ in range(3000):
            if happened():
                return
            threading.Event().wait(0.02)
        pytest.fail(f"it did not happen; the log is {self.log()}")


@pytest.fixture
def stand(processes: Processes, haproxy_binary: str, site: Site) -> Stand:
    return Stand(processes, haproxy_binary, site)


@pytest.mark.parametrize("register", [REGISTER, ""])
def test_every_variable_can_be_seen(stand: Stand, register: str) -> None:
    """From HAProxy 2.5 on none of these must be registered; before, those that no rule mentions were dropped."""
    stand.start(register=register)

    begin = time.monotonic()
    assert stand.fetch("/?q=hello").status == 200
    microseconds = (time.monotonic() - begin) * 1e6
    clean = dict(each.split("=", 1) for each in stand.seen())
    assert clean.keys() == {"fail", "id", "rules_hit", "anomaly_score", "app", "mode", "time_us", "score_out"}
    assert (clean["app"], clean["mode"], clean["score_out"]) == ("shop", "block", "0")
    assert 0 < int(clean["time_us"]) < microseconds
    assert stand.fetch("/?q=attack").status == 403
    assert any(each.startswith("block_page=<p>") for each in stand.seen())


def test_applications_by_host(stand: Stand) -> None:
    stand.start()

    assert stand.fetch("/?q=attack", "SHOP.example:80").status == 403
    assert stand.fetch("/?q=attack", "detect.example.").status == 200
    assert stand.fetch("/", "a.b.partial.example").status == 200
    assert stand.fetch("/", "nobody.example").status == 200
    names = [each for each in stand.seen() if each.startswith("app=")]
    assert list(dict.fromkeys(names)) == ["app=shop", "app=detect", "app=partial"]
    assert names[-1] == "app=shop"
    assert "transaction-not-found" not in stand.log()


def test_the_authority_of_http_2_is_the_host(stand: Stand) -> None:
    stand.start()

    assert _h2_status(stand.h2, b"detect.example:443", b"/?q=attack") == 200
    assert _h2_status(stand.h2, b"shop.example:443", b"/?q=attack") == 403


def _h2_status(port: int, authority: bytes, path: bytes) -> int:
    """One request of HTTP/2 with prior knowledge; HPACK without compression (RFC 7541, 6.2.2)."""

    def literal(index: int, value: bytes) -> bytes:
        return bytes([index, len(value)]) + value

    block = b"\x82\x86" + literal(1, authority) + literal(4, path)  # :method GET, :scheme http
    frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _h2_frame(4, 0, 0, b"") + _h2_frame(1, 5, 1, block)
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(frames)
        data = b""
        while more := sock.recv(65536):
            data += more
            rest = data
            while len(rest) >= 9 and len(rest) >= 9 + int.from_bytes(rest[:3], "big"):
                length, kind = int.from_bytes(rest[:3], "big"), rest[3]
                if kind == 1:  # HEADERS; an indexed :status, or a literal one (RFC 7541, appendix A)
                    first = rest[9]
                    return {0x88: 200, 0x8C: 404}.get(first) or int(rest[11:14])
                rest = rest[9 + length :]
    return 0


def _h2_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def test_the_address_of_the_proxy_protocol_is_the_clients(stand: Stand) -> None:
    """HAProxy reads it; what it takes for the source is what `src` gives us."""
    stand.start()
    request = b"GET /?q=attack HTTP/1.1\r\nHost: shop.example\r\nX-Who: 1\r\nConnection: close\r\n\r\n"
    addresses = socket.inet_aton("198.51.100.7") + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 4711, 80)
    version_2 = b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11]) + struct.pack("!H", len(addresses)) + addresses
    for head in (
        b"PROXY TCP4 203.0.113.5 127.0.0.1 56324 80\r\n",
        version_2,
        b"PROXY TCP6 2001:db8::7 ::1 56325 80\r\n",
    ):
        with socket.create_connection(("127.0.0.1", stand.proxied), 60) as sock:
            sock.sendall(head + request)
            assert sock.makefile("rb").readline().split()[1] == b"403"

    log = stand.log()
    for client, port in (("203.0.113.5", 56324), ("198.51.100.7", 4711), ("2001:db8::7", 56325)):
        assert f'[client "{client}"]' in log
        assert f"who: {client} {port}" in log


def test_the_client_behind_a_proxy_that_is_trusted(stand: Stand) -> None:
    stand.start()
    chain = "6.6.6.6, 203.0.113.9:4711, 192.0.2.7"

    assert stand.fetch("/", "cdn.example", X_Who="1", X_Forwarded_For=chain).status == 200
    assert stand.fetch("/", "shop.example", X_Who="1", X_Forwarded_For=chain).status == 200
    lines = [line for line in stand.log().splitlines() if "who:" in line]
    assert "who: 203.0.113.9 4711" in lines[0]
    assert '[client "203.0.113.9"]' in lines[0]
    assert "who: 127.0.0.1" in lines[1]


def test_what_is_on_the_skip_list_is_answered_and_its_response_too(stand: Stand) -> None:
    stand.start()

    assert stand.fetch("/static/app.js?q=attack").status == 200
    assert "mode=skipped" in stand.seen()
    for target in (
        "/static/../?q=attack",
        "/static/%2e%2e/?q=attack",
        "/static/..;/?q=attack",
        "/static/%252e/?q=attack",
    ):
        assert stand.fetch(target).status == 403, target
    assert "no verdict" not in stand.log()


@pytest.mark.parametrize("size", [0, MAX_PAGE])
def test_the_block_page_is_shown_escaped(stand: Stand, size: int) -> None:
    """The largest file is well within a frame and within HAProxy's buffer at their default sizes."""
    end = "<p>%{UNIQUE_ID} %{RULE_ID} 100%</p>"
    stand.start(page="x" * (size - len(end)) + end)
    reply = stand.fetch("/?q=attack")

    assert (reply.status, reply.headers["Content-Type"]) == (403, "text/html")
    assert reply.body.endswith(f"<p>{reply.headers['X-Id']} 920100 100%</p>".encode())
    assert len(reply.body) >= size
    assert stand.fetch("/?q=fine").status == 200


def test_a_page_of_several_lines_is_shown_without_traces_of_them(stand: Stand) -> None:
    """As a `lf-string`, where HAProxy shows a line break as %0A."""
    stand.start(page="<html>\r\n\t<p>caf\u00e9, 100%: %{RULE_ID}</p>\n</html>\n")
    reply = stand.fetch("/?q=attack")

    assert (reply.status, reply.body.decode()) == (403, "<html>  \t<p>caf\u00e9, 100%: 920100</p> </html>")


def test_the_longest_page_that_is_sent_arrives_whole(stand: Stand) -> None:
    places = 158
    page = "%{UNIQUE_ID}" * places
    stand.start(page="x" * (MAX_PAGE - len(page)) + page)
    reply = stand.fetch("/?q=attack")

    assert reply.status == 403
    assert MAX_FILLED - 50 < len(reply.body) == MAX_PAGE - len(page) + 36 * places <= MAX_FILLED


def test_a_verdict_arrives_where_the_page_does_not_fit(stand: Stand) -> None:
    """Frames smaller than the page: `deny` holds, without it."""
    stand.start(page="x" * MAX_PAGE, register=f"max-frame-size 4096\n    {REGISTER}", workers=1)

    for _ in range(3):
        reply = stand.fetch("/?q=attack")
        assert (reply.status, len(reply.body) < MAX_PAGE) == (403, True)
        assert reply.headers["X-Fail"] == "1"
    assert stand.log().count("an answer did not fit into a frame") == 1


def test_detection_only_answers_first_and_tells_afterwards(stand: Stand) -> None:
    stand.start()
    reply = stand.fetch("/?q=attack", "detect.example")

    assert (reply.status, reply.headers["X-Fail"]) == (200, "0")
    assert "mode=detect" in stand.seen()
    stand.wait_for(lambda: '[id "920100"]' in stand.log())
    assert "no verdict" not in stand.log()


MULTIPART = (
    b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nvalue\r\n'
    b'--B\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\n'
)  # fmt: skip
LARGE = MULTIPART + b"x" * 40_000 + b"\r\n--B--\r\n"
JSON = b'{"a":["' + b"x" * 40_000 + b'"]}'


@pytest.mark.parametrize(("body", "kind"), [(LARGE, "multipart/form-data; boundary=B"), (JSON, "application/json")])
def test_a_body_larger_than_the_buffer(stand: Stand, body: bytes, kind: str) -> None:
    stand.start(workers=1)  # each remembers what it told of

    assert stand.fetch("/up", "www.partial.example", body, Content_Type=kind).status == 200
    assert "body_truncated=1" in stand.seen()
    assert stand.fetch("/up", "shop.example", body, Content_Type=kind).status == 413
    stand.fetch("/up", "shop.example", body, Content_Type=kind)
    assert "malformed" not in stand.log()
    assert [application for application, line in stand.cut() if "path=/up" in line] == ["partial", "shop"]


def test_an_attack_in_the_part_that_came_is_seen(stand: Stand) -> None:
    stand.start()
    form = "application/x-www-form-urlencoded"
    padding = b"&b=" + b"x" * 40_000

    assert stand.fetch("/", "a.partial.example", b"a=attack" + padding, Content_Type=form).status == 403
    assert stand.fetch("/", "a.partial.example", b"a=fine" + padding, Content_Type=form).status == 200


def test_a_slow_body_for_which_nobody_waits(stand: Stand) -> None:
    """One that would fit is late, and goes on; one that never will is what the limit's action is for."""
    stand.start(wait="")
    head = (
        b"POST /slow HTTP/1.1\r\nHost: %s\r\nContent-Type: multipart/form-data; boundary=B\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n"
    )

    def slowly(host: bytes, application: str, size: int) -> bytes:
        body = MULTIPART + b"x" * size + b"\r\n--B--\r\n"
        with socket.create_connection(("127.0.0.1", stand.port), 60) as sock:
            sock.sendall(head % (host, len(body)) + body[:30])
            stand.wait_for(lambda: application in dict(stand.cut()))
            with_rest = sock.makefile("rb")
            with contextlib.suppress(OSError):  # refused already
                sock.sendall(body[30:])
            return with_rest.readline().split()[1]

    assert slowly(b"www.partial.example", "partial", 40_000) == b"200"
    assert slowly(b"cdn.example", "cdn", 10) == b"200"
    assert slowly(b"shop.example", "shop", 40_000) == b"413"
    assert "malformed" not in stand.log()
    assert "body_truncated=1" in stand.seen()


def test_a_response_of_which_only_a_part_came(stand: Stand) -> None:
    """The event on-http-response does not wait for bodies. What has none, though a length is announced, is not cut."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 40000\r\nConnection: close\r\n\r\n"
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(60)

    def answer() -> None:
        for _ in range(2):
            connection, _ = server.accept()
            with connection:
                method = connection.recv(65536).split()[0]
                connection.sendall(head)
                if method != b"HEAD":
                    stand.wait_for(lambda: "body of a response was cut" in stand.log())
                    connection.sendall(b"x" * 40_000)

    stand.start(site=server.getsockname()[1])
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", stand.port, timeout=60)
    connection.request("HEAD", "/head")
    assert connection.getresponse().status == 200
    connection.close()
    assert "was cut" not in stand.log()
    assert "body_truncated=1" not in stand.seen()

    reply = stand.fetch("/get")
    thread.join()
    server.close()

    assert (reply.status, len(reply.body)) == (200, 40_000)
    assert "body_truncated=1" in stand.seen()
    assert "path=/get" in stand.cut()[0][1]


def test_a_slow_body_in_chunks_is_not_called_malformed(stand: Stand) -> None:
    """Nobody announced its length: the part that came may be all of it."""
    stand.start(wait="")
    head = b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    with socket.create_connection(("127.0.0.1", stand.port), 60) as sock:
        sock.sendall(head + b"X-Who: 1\r\nConnection: close\r\n\r\n" + b'9\r\n{"a": "b,\r\n')
        stand.wait_for(lambda: "who:" in stand.log())
        sock.sendall(b'2\r\n"}\r\n0\r\n\r\n')
        status = sock.makefile("rb").readline().split()[1]

    assert status == b"200"
    assert "malformed" not in stand.log()

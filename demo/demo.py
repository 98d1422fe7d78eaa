"""The main job, to be seen: a site, the agent with its embedded rules, and HAProxy in front of both.

Sends clean requests and attacks through HAProxy and prints what came of each, and why. Run by `./dev demo`;
with ``--keep`` everything stays up until Ctrl-C, to be tried with curl.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
START_SECONDS = 120
"""How long a process may take until it listens; the agent needs about one second."""

PATIENCE = 60
"""How often a request is sent again that gets no verdict."""

VERDICT, SUMMARY = "199040", "199130"
"""The embedded rules that deny a request whose score is too high, and that report the scores of any."""
SHOWN_RULES = 3
_FOUND = re.compile(r"Matched Data: .* found within (?:MATCHED_VARS:)*(?P<name>[^ ]+): (?P<value>.*)", re.DOTALL)

AGENT_CONFIG = """\
# The agent's file, in the form that coraza-spoa's first users have. Without `include` the agent runs its own rules.
log:
  level: info
  dir: {logs}
spoa:
  bind: 127.0.0.1:{port}
  transaction_ttl: 60000
  transaction_active_limit: 100000
"""


@dataclass(frozen=True)
class Example:
    """A request of the show."""

    title: str
    method: str
    target: str
    form: dict[str, str] | None = None

    @property
    def shown(self) -> str:
        """The request on one line."""
        body = f"  {urlencode(self.form)}" if self.form else ""
        return f"{self.method} {self.target}{body}"

    @property
    def attack(self) -> bool:
        """Whether it is to be blocked."""
        return not self.title.startswith("clean")


EXAMPLES = (
    Example("clean GET", "GET", "/products?category=books&page=2"),
    Example("clean POST", "POST", "/comment", {"name": "Siobhan O'Brien", "text": "Lovely shop & quick delivery!"}),
    Example("SQL injection", "GET", "/products?id=1%27%20OR%20%271%27=%271%27--%20-"),
    Example("cross-site scripting", "GET", "/search?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E"),
    Example("path traversal", "GET", "/download?file=../../../../etc/passwd"),
    Example("command injection", "POST", "/ping", {"host": "127.0.0.1; cat /etc/passwd"}),
)


class Site(BaseHTTPRequestHandler):
    """A site that answers everything with a friendly page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer any request."""
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        page = b"<!doctype html><title>shop</title><p>Welcome to the shop.</p>\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    do_POST = do_GET  # noqa: N815  the name is http.server's

    def log_message(self, *_args: object) -> None:
        """Say nothing: the table is the log."""


@dataclass(frozen=True)
class Hit:
    """A rule that matched, as the agent's log tells it."""

    rule_id: str
    message: str
    data: str


class AgentLog:
    """The agent's log files, read on from where they ended at the last call."""

    _FIELD = re.compile(r'\[(id|msg|data) "((?:[^"\\]|\\.)*)"\]')

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}

    def new_hits(self) -> list[Hit]:
        """The rules that matched since the last call, in order."""
        hits = []
        for path in sorted(self._folder.glob("*.log")):
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                text = file.read().decode("utf-8", "replace")
                self._offsets[path] = file.tell()
            for line in text.splitlines():
                fields: dict[str, str] = {}
                for name, value in self._FIELD.findall(line):
                    fields.setdefault(name, value.replace('\\"', '"').replace("\\\\", "\\"))
                if "id" in fields:
                    hits.append(Hit(fields["id"], fields.get("msg", ""), fields.get("data", "")))
        return hits


def free_port(wanted: int = 0) -> int:
    """A free TCP port of 127.0.0.1: the wanted one, if nothing listens there.

    Others are below those that the system gives to connections, which might take one before it is listened on.
    """
    for port in (wanted, *random.sample(range(12_000, 32_000), 100)):
        if not port:
            continue
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no free port on 127.0.0.1")


class QuietServer(ThreadingHTTPServer):
    """A server that does not tell of clients that went away: HAProxy closes connections it no longer needs."""

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Say nothing."""


@contextmanager
def site(port: int) -> Iterator[None]:
    """The site, in a thread."""
    server = QuietServer(("127.0.0.1", port), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def process(
    name: str, command: list[str], port: int, output: Path, env: dict[str, str] | None = None
) -> Iterator[None]:
    """A process that listens on a port; ended on the way out, whatever happens."""
    with output.open("wb") as log:
        # A session of its own: Ctrl-C reaches this script only, which then ends its processes in order.
        child = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, start_new_session=True
        )
    try:
        _wait_until_listening(name, child, port, output)
        yield
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait_until_listening(name: str, child: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise SystemExit(f"{name} ended with status {child.returncode}:\n{output.read_text('utf-8', 'replace')}")
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"{name} does not listen after {START_SECONDS} s:\n{output.read_text('utf-8', 'replace')}")


def send(port: int, example: Example) -> tuple[int, float]:
    """Send a request through HAProxy: the status of the answer, and how many milliseconds it took."""
    body = urlencode(example.form).encode() if example.form else None
    headers = {"Host": "shop.example", "User-Agent": "Mozilla/5.0 (demo)", "Accept": "*/*"}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    started = time.perf_counter()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(example.method, example.target, body, headers)
        response = connection.getresponse()
        response.read()
    return response.status, (time.perf_counter() - started) * 1000


def show(port: int, log: AgentLog, console: Console) -> bool:
    """Send all examples and print the table; whether each ended as it should."""
    table = Table(box=box.ROUNDED, show_lines=True, expand=True)
    table.add_column("Sent through HAProxy", ratio=4, overflow="fold")
    table.add_column("Answer", ratio=1)
    table.add_column("Why: the rules that matched, and on what", ratio=5, overflow="fold")
    right = True
    for example in EXAMPLES:
        log.new_hits()
        status, milliseconds = send(port, example)
        for _ in range(PATIENCE):
            if status != http.HTTPStatus.GATEWAY_TIMEOUT:
                break
            time.sleep(0.5)  # no verdict in time: so busy a machine may be, above all at the very first start
            log.new_hits()
            status, milliseconds = send(port, example)
        blocked = status == http.HTTPStatus.FORBIDDEN
        right = right and blocked == example.attack and status in (200, 403)
        answer = Text(f"{status} {'blocked' if blocked else 'passed'}", "bold red" if blocked else "bold green")
        answer.append(f"\n{milliseconds:.1f} ms", "dim")
        sent = Text(example.title, "bold") + Text(f"\n{example.shown}", "not bold")
        table.add_row(sent, answer, explained(log.new_hits()))
    console.print(table)
    return right


def explained(hits: list[Hit]) -> Text:
    """Why: the verdict, then the rules that led to it, each with the value that it matched."""
    verdicts = [hit for hit in hits if hit.rule_id == VERDICT]
    causes = [hit for hit in hits if hit.rule_id not in (VERDICT, SUMMARY)]
    if not causes:
        return Text("nothing suspicious", "dim")
    lines = [Text(f"rule {hit.rule_id}: {hit.message}", "bold") for hit in verdicts]
    for hit in causes[:SHOWN_RULES]:
        lines.append(Text(f"rule {hit.rule_id}: ", "cyan") + Text(hit.message, "not bold"))
        if found := _FOUND.match(hit.data):
            lines.append(Text(f"  on {found['name']} = {found['value']}", "dim"))
    if len(causes) > SHOWN_RULES:
        lines.append(Text(f"and {len(causes) - SHOWN_RULES} more", "dim"))
    return Text("\n").join(lines)


def keep(port: int, folder: Path, console: Console) -> None:
    """Tell how to try it, and wait for Ctrl-C."""
    url = f"http://127.0.0.1:{port}"
    console.print(
        f"""
HAProxy listens on {url}. In another terminal, try:

  curl -i '{url}/products?category=books'            [green]# passes: 200[/green]
  curl -i '{url}/products?id=1%27+OR+1=1--+-'        [red]# blocked: 403[/red]
  curl -i -d 'host=127.0.0.1;id' {url}/ping          [red]# blocked: 403[/red]
  tail -f {folder}/*.log                    # why

Ctrl-C ends it all.""",
        highlight=False,
        soft_wrap=True,
    )
    signal.pause()


def stop(_number: int, _frame: object) -> None:
    """End the show, by whatever signal: every process that it started is ended on the way out."""
    raise KeyboardInterrupt


def main() -> int:
    """Run the show; the exit status says whether everything ended as it should."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C, to try it with curl")
    parser.add_argument("--port", type=int, default=8080, help="HAProxy's port (default: 8080, or a free one)")
    args = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    haproxy = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if haproxy is None:
        raise SystemExit("no haproxy found: ./dev setup installs it")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    port, site_port, agent_port = free_port(args.port), free_port(), free_port()
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spoa-waf-demo-")))
            logs = folder / "logs"
            logs.mkdir()
            config = folder / "config.yml"
            config.write_text(AGENT_CONFIG.format(logs=logs, port=agent_port), "utf-8")
            console.print("Starting a site, the agent and HAProxy ...")
            stack.enter_context(site(site_port))
            agent = [sys.executable, "-m", "adapters", "serve", "-c", str(config)]
            stack.enter_context(process("the agent", agent, agent_port, folder / "agent.out"))
            ports = {
                "DEMO_PORT": str(port),
                "DEMO_SITE_PORT": str(site_port),
                "DEMO_AGENT_PORT": str(agent_port),
                "DEMO_DIR": str(HERE),
            }
            proxy = [haproxy, "-db", "-f", str(HERE / "haproxy.cfg")]
            stack.enter_context(process("HAProxy", proxy, port, folder / "haproxy.out", ports))
            right = show(port, AgentLog(logs), console)
            if not right:
                console.print("[red]Something did not end as it should: see the table.[/red]")
            elif args.keep:
                keep(port, logs, console)
            else:
                console.print("Clean requests passed, attacks were blocked. [bold]./dev demo --keep[/bold] leaves it")
                console.print("running, to try it with curl.")
        except KeyboardInterrupt:
            console.print("\nEnding everything that was started.")
            return 0
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

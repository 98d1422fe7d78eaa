"""The two engines that are compared, in the same clothes, and the rules that both are given."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from benchmarks.engine.requests import Request

ROOT = Path(__file__).resolve().parents[2]

DIRECTIVES = """
SecRuleEngine On
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application(?:/soap\\+|/)|text/)xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRequestBodyLimit 33554432
SecRequestBodyNoFilesLimit 33554432
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml
SecResponseBodyLimit 524288
SecAuditEngine Off
"""
PAGE = b"<!doctype html><title>books</title>" + b"<p>a shelf of quiet books</p>\n" * 66

_ID = re.compile(r"\bid:(\d+)")


class Engine(Protocol):
    """Runs requests."""

    def run(self, request: Request, *, response: bool = False) -> bool:
        """Take a request through all its phases, with a page as the answer if asked to; whether it was blocked."""
        ...


class Ours:
    """waf_engine.

    Args:
        directives: the rules.
        options: of `WAF.from_directives`.
    """

    def __init__(self, directives: str, **options: Any) -> None:
        from waf_engine import WAF  # noqa: PLC0415  its import is part of what loading costs

        self.waf = WAF.from_directives(directives, **options)

    def run(self, request: Request, *, response: bool = False) -> bool:
        """See `Engine`."""
        tx = self.waf.transaction()
        tx.process_connection("192.0.2.9", 40000, "198.51.100.9", 80)
        tx.process_uri(request.target, request.method, "HTTP/1.1")
        for name, value in request.headers:
            tx.add_request_header(name, value)
        verdict = tx.process_request_headers()
        if verdict is None and request.body:
            verdict = tx.write_request_body(request.body)
        if verdict is None:
            verdict = tx.process_request_body()
        if response and verdict is None:
            tx.add_response_header("Content-Type", "text/html")
            verdict = tx.process_response_headers(200, "HTTP/1.1") or tx.write_response_body(PAGE)
            verdict = verdict or tx.process_response_body()
        tx.process_logging()
        tx.close()
        return verdict is not None


class Peer:
    """libmodsecurity.

    Args:
        directives: the rules.
    """

    def __init__(self, directives: str) -> None:
        import libmodsecurity  # noqa: PLC0415  as above

        self._library = libmodsecurity
        self._engine = libmodsecurity.ModSecurity()
        self._engine.set_log_callback(lambda _line: None)
        self._rules = libmodsecurity.RulesSet()
        if self._rules.load(directives) < 0:
            raise SystemExit(f"libmodsecurity refuses the rules: {self._rules.get_parser_error()}")

    def run(self, request: Request, *, response: bool = False) -> bool:
        """See `Engine`."""
        tx = self._library.Transaction(self._engine, self._rules)
        tx.process_connection("192.0.2.9", 40000, "198.51.100.9", 80)
        tx.process_uri(request.target, request.method, "1.1")
        for name, value in request.headers:
            tx.add_request_header(name, value)
        tx.process_request_headers()
        if request.body:
            tx.append_request_body(request.body)
        tx.process_request_body()
        verdict = tx.intervention()
        blocked = bool(verdict and verdict.disruptive)
        if response and not blocked:
            tx.add_response_header("Content-Type", "text/html")
            tx.process_response_headers(200, "HTTP/1.1")
            tx.append_response_body(PAGE)
            tx.process_response_body()
            verdict = tx.intervention()
            blocked = bool(verdict and verdict.disruptive)
        tx.process_logging()
        return blocked


def find_rules(given: Path | None) -> tuple[str, str]:
    """The directives to measure with, and what they are, in words.

    Args:
        given: a folder with ``crs-setup.conf`` (or its example) and ``rules/``; None to look for one.

    Raises:
        SystemExit: there is none.
    """
    corpora = Path(os.environ.get("SPOA_WAF_CORPORA", "../shared"))
    corpora = (corpora if corpora.is_absolute() else ROOT / corpora) / "crs"
    if given is not None or (corpora / "rules").is_dir():
        folder = (given or corpora).resolve()
        names = ("crs-setup.conf", "crs-setup.conf.example")
        setup = next((folder / name for name in names if (folder / name).is_file()), None)
        if not (folder / "rules").is_dir():
            raise SystemExit(f"{folder} has no folder rules/: --rules takes the folder of a CRS")
        return _include(setup, folder / "rules"), f"CRS {_release(folder / 'rules')}, {folder}"
    from adapters.crs.find import GET_IT, current_version  # noqa: PLC0415  only where nothing was given

    version = current_version()
    if version is None:
        raise SystemExit(f"no CRS to measure with: name one with --rules, or {GET_IT}")
    words = f"CRS {version.release or version.name}, {version.rules}"
    if not version.release.startswith("4."):
        words += " (the figures of docs/performance.md are of CRS 4: `spoa-waf crs install` gets it)"
    return _include(version.setup, version.rules), words


def _include(setup: Path | None, rules: Path) -> str:
    lines = [f"Include {setup}"] if setup else []
    return "\n".join([DIRECTIVES, *lines, f"Include {rules}/*.conf", ""])


def _release(rules: Path) -> str:
    from adapters.crs.store import release_of  # noqa: PLC0415  as above

    return release_of(rules) or "of unknown version"


def copies(directives: str, count: int, folder: Path) -> str:
    """The directives with their included rules so many times, each copy under other ids.

    Args:
        directives: as `find_rules` gives them.
        count: how many times.
        folder: an empty one, for the copies.
    """
    kept = [line for line in directives.splitlines() if not line.endswith("/*.conf")]
    rules = next(
        Path(line.removeprefix("Include ")).parent for line in directives.splitlines() if line.endswith("/*.conf")
    )
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        for path in rules.iterdir():
            if path.suffix == ".data":
                (place / path.name).symlink_to(path)
            elif path.suffix == ".conf":
                text = path.read_text("utf-8", "surrogateescape")
                shifted = _ID.sub(lambda found: f"id:{int(found[1]) + number * 10_000_000}", text)  # noqa: B023  used at once
                (place / path.name).write_text(shifted, "utf-8", "surrogateescape")
    return "\n".join([*kept, *(f"Include {folder}/{number}/*.conf" for number in range(count)), ""])


def resident() -> float:
    """Resident memory of this process in MiB; 0 where the system does not say."""
    try:
        with Path("/proc/self/status").open(encoding="ascii") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
    except OSError:
        return 0.0


def say(text: str) -> None:
    """A word on what is being done, beside the results."""
    sys.stderr.write(f"{text}\n")

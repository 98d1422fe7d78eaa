"""The requests of a profile: raw HTTP in files, what go-ftw's tests send, or a few samples of our own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.ftw.http_parser import ParsedRequest, RefusedError, parse_request
from adapters.ftw.model import load_cases
from adapters.ftw.request import build_request
from waf_engine.diagnostics import Severity, render_all

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

YAML = (".yaml", ".yml")
MAX_BYTES = 64 << 20
"""Bytes of one file with a raw request: more than any agent lets through."""

_BROWSER = (
    b"Host: shop.example.org\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Referer: https://shop.example.org/catalogue\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
)


class CorpusError(Exception):
    """There is nothing to run; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A request.

    Attributes:
        name: a file, a test, or what it is.
        request: what a proxy would hand to the agent.
    """

    name: str
    request: ParsedRequest


def load_corpus(paths: Iterable[Path]) -> tuple[list[Sample], int]:
    """The requests in some files and folders; samples where none are named.

    Returns:
        The requests, and how many there are beside them that no server would hand to a WAF.

    Raises:
        CorpusError: there is no such file, it cannot be read, or no request is left.
    """
    raw: list[tuple[str, bytes]] = []
    paths = list(paths)
    for path in paths:
        raw += _read(path)
    if not paths:
        raw = list(samples().items())
    found: list[Sample] = []
    for name, content in raw:
        try:
            found.append(Sample(name, parse_request(content)))
        except RefusedError:
            continue
    if not found:
        raise CorpusError(f"no request that can be run in {', '.join(map(str, paths))}: {len(raw)} were read")
    return found, len(raw) - len(found)


def _read(path: Path) -> list[tuple[str, bytes]]:
    if not path.exists():
        raise CorpusError(f"there is no {path}")
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        return (_tests(path) if any(file.suffix in YAML for file in files) else []) + [
            _file(file) for file in files if file.suffix not in YAML
        ]
    return _tests(path) if path.suffix in YAML else [_file(path)]


def _file(path: Path) -> tuple[str, bytes]:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(content) > MAX_BYTES:
        raise CorpusError(f"{path} has more than {MAX_BYTES} bytes")
    return str(path), content


def _tests(path: Path) -> list[tuple[str, bytes]]:
    loaded = load_cases([path])
    errors = [fault for fault in loaded.diagnostics if fault.severity is Severity.ERROR]
    if errors:
        raise CorpusError(render_all(errors))
    return [
        (case.name, build_request(stage.input, uri))
        for case in loaded.cases
        for stage in case.stages
        for uri in stage.input.uris
    ]


def samples() -> dict[str, bytes]:
    """Requests of our own, raw, by what they are."""
    order = {
        "customer": {"id": 4711, "name": "Ada Byron", "mail": "ada@example.org"},
        "items": [{"sku": f"A-{number}", "count": number, "note": "as a gift, please"} for number in range(1, 9)],
    }
    upload = b"".join(
        b'--frontier\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % part
        for part in (
            (b"title", b"", b"Minutes of the meeting"),
            (b"file", b'; filename="minutes.txt"\r\nContent-Type: text/plain', b"We met, and talked.\n" * 1000),
        )
    )
    login = b"user=ada&password=Correct-Horse-Battery-Staple&next=%2Faccount%2Forders&token=" + b"0123456789abcdef" * 4
    return {
        "bare GET": b"GET /item/42 HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: curl/8.9\r\nAccept: */*\r\n\r\n",
        "browser's GET": b"GET /list?category=tea&page=2&sort=price HTTP/1.1\r\n" + _BROWSER + b"\r\n",
        "form": _post(b"/login", b"application/x-www-form-urlencoded", login),
        "JSON": _post(b"/api/orders", b"application/json", json.dumps(order).encode()),
        "upload": _post(b"/files", b"multipart/form-data; boundary=frontier", upload + b"--frontier--\r\n"),
        "attack": b"GET /?id=1%27%20OR%20%271%27=%271&q=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1\r\n"
        + _BROWSER
        + b"\r\n",
    }


def _post(path: bytes, content_type: bytes, body: bytes) -> bytes:
    head = b"POST %s HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (path, _BROWSER, content_type, len(body)) + body

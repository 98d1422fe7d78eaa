from __future__ import annotations

import hashlib
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from adapters.crs import fetch as module
from adapters.crs.fetch import RELEASE_URL, FetchError, fetch, is_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b"an archive" * 20_000


class Server(BaseHTTPRequestHandler):
    """Answers by what the path says."""

    def do_GET(self) -> None:
        _, kind, rest = self.path.split("/", 2)
        if kind == "to":
            self.send_response(302)
            self.send_header("Location", rest)
            self.end_headers()
        elif kind == "missing":
            self.send_error(404)
        elif kind == "loop":
            self.send_response(301)
            self.send_header("Location", "/loop/x")
            self.end_headers()
        elif kind == "hang":
            self.server.hang.wait(5)  # type: ignore[attr-defined]  # the fixture sets it
        else:
            self.send_response(200)
            if kind != "unknown":
                self.send_header("Content-Length", str(len(BODY) + (7 if kind == "short" else 0)))
            self.end_headers()
            self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.hang = threading.Event()  # type: ignore[attr-defined]  # for the handler
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.hang.set()  # type: ignore[attr-defined]  # as above
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["plain", "unknown", "to//plain"])
def test_from_a_url(url: str, tmp_path: Path, kind: str) -> None:
    steps: list[tuple[int, int | None]] = []

    digest = fetch(f"{url}/{kind}/x", tmp_path / "a", progress=lambda done, size: steps.append((done, size)))
    assert digest == hashlib.sha256(BODY).hexdigest()
    assert (tmp_path / "a").read_bytes() == BODY
    assert steps[-1] == (len(BODY), None if kind == "unknown" else len(BODY))
    assert len(steps) > 1


def test_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY)

    assert fetch(str(tmp_path / "a"), tmp_path / "b") == hashlib.sha256(BODY).hexdigest()
    assert (tmp_path / "b").read_bytes() == BODY


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "FILE:///etc/passwd"])
def test_redirects_to_other_schemes_are_refused(url: str, tmp_path: Path, to: str) -> None:
    with pytest.raises(FetchError, match="refused to be redirected to"):
        fetch(f"{url}/to/{to}", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_https_does_not_lead_to_http() -> None:
    request = urllib.request.Request("https://example.org/a")
    with pytest.raises(FetchError, match="refused to be redirected to http://"):
        module._Redirects().redirect_request(request, None, 302, "", None, "http://example.org/a")  # type: ignore[arg-type]  # neither is looked at


@pytest.mark.parametrize("source", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "://x"])
def test_other_schemes_are_refused(tmp_path: Path, source: str) -> None:
    assert is_url(source)
    with pytest.raises(FetchError, match="the scheme is to be https"):
        fetch(source, tmp_path / "a")


@pytest.mark.parametrize(
    ("path", "message", "absent"),
    [("missing/x", "the server says 404", True), ("short/x", "IncompleteRead|only", False), ("loop/x", "301", False)],
)
def test_what_servers_do(url: str, tmp_path: Path, path: str, message: str, *, absent: bool) -> None:
    with pytest.raises(FetchError, match=message) as error:
        fetch(f"{url}/{path}", tmp_path / "a")
    assert error.value.absent is absent


def test_nobody_answers(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_SECONDS", 0.05)
    with pytest.raises(FetchError, match=r"no answer within 0\.05 s"):
        fetch(f"{url}/hang/x", tmp_path / "a")


def test_it_takes_too_long(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOTAL_SECONDS", -1.0)
    with pytest.raises(FetchError, match="takes longer than"):
        fetch(f"{url}/plain/x", tmp_path / "a")


@pytest.mark.parametrize("kind", ["plain", "unknown"])
def test_it_is_too_large(url: str, tmp_path: Path, kind: str) -> None:
    with pytest.raises(FetchError, match="more than the 100"):
        fetch(f"{url}/{kind}/x", tmp_path / "a", limit=100)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="there is no such file") as error:
        fetch(str(tmp_path / "none"), tmp_path / "a")
    assert error.value.absent
    with pytest.raises(FetchError, match="Is a directory"):
        fetch(str(tmp_path), tmp_path / "a")
    with pytest.raises(FetchError, match="refused"):
        fetch("http://127.0.0.1:1/x", tmp_path / "a")


def test_where_releases_are() -> None:
    assert RELEASE_URL.format("4.28.0").endswith("/v4.28.0/coreruleset-4.28.0-minimal.tar.gz")

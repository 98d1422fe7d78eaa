"""An archive from a URL or a file to a file of ours, bounded in bytes and time, with its SHA-256.

Here: HTTP and HTTPS and nothing else: a redirect to any other scheme, or from HTTPS to HTTP, is refused. Not here: what
is in the archive (archive.py), whether its checksum is the right one (verify.py).
"""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from http.client import HTTPMessage

RELEASE_URL = "https://github.com/coreruleset/coreruleset/releases/download/v{0}/coreruleset-{0}-minimal.tar.gz"
"""Where the CRS project puts its releases: the archive without tests, with its signature beside it (``.asc``)."""

MAX_ARCHIVE = 64 * 1024 * 1024
"""Bytes of an archive: a release of CRS 4 has less than 1 MiB, the whole repository about 3."""

STEP_SECONDS = 30.0
"""How long one step may take: to connect, to wait for the next bytes."""

TOTAL_SECONDS = 300.0
"""How long it may take in all, however steadily the bytes come."""

_CHUNK = 64 * 1024
_SCHEMES = ("http", "https")


class FetchError(Exception):
    """An archive that could not be had; its text is for people.

    Attributes:
        absent: whether it is just not there.
    """

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


Progress = Callable[[int, int | None], None]
"""Called with the bytes that came and the bytes that are to come in all, if that is known."""


def is_url(source: str) -> bool:
    """Whether this is a URL, of whatever scheme, and not the name of a file."""
    return "://" in source


def fetch(source: str, target: Path, *, limit: int = MAX_ARCHIVE, progress: Progress | None = None) -> str:
    """Copy what a URL or a file's name says to a file.

    Args:
        source: an http or https URL, or the name of a file.
        target: the file to write.
        limit: the bytes that are taken at most.
        progress: see `Progress`.

    Returns:
        The SHA-256 of it, in hexadecimal.

    Raises:
        FetchError: it cannot be had, is too large, or takes too long.
    """
    try:
        if not is_url(source):
            with Path(source).open("rb") as stream:
                return _copy(stream, target, limit, Path(source).stat().st_size, progress)
        if urllib.parse.urlsplit(source).scheme not in _SCHEMES:
            raise FetchError(f"{source}: the scheme is to be https (or http); a file is named without any")
        request = urllib.request.Request(source, headers={"User-Agent": "spoa-waf"})  # noqa: S310  checked above
        with _opener().open(request, timeout=STEP_SECONDS) as answer:
            length = answer.headers.get("Content-Length", "")
            return _copy(answer, target, limit, int(length) if length.isdecimal() else None, progress)
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchError(f"{source}: the server says {error.code} {error.reason}", absent=error.code == 404) from error
    except urllib.error.URLError as error:
        raise FetchError(f"{source}: {_reason(error.reason)}") from error
    except FileNotFoundError as error:
        raise FetchError(f"{source}: there is no such file", absent=True) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(f"{source}: {_reason(error)}") from error


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {STEP_SECONDS:g} s"
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return text or type(error).__name__


def _copy(stream: IO[bytes], target: Path, limit: int, size: int | None, progress: Progress | None) -> str:
    if size is not None and size > limit:
        raise FetchError(f"it has {size} bytes, more than the {limit} that are taken")
    digest, done, end = hashlib.sha256(), 0, time.monotonic() + TOTAL_SECONDS
    with target.open("wb") as out:
        while data := stream.read(_CHUNK):
            done += len(data)
            if done > limit:
                raise FetchError(f"it has more than the {limit} bytes that are taken")
            if time.monotonic() > end:
                raise FetchError(f"it takes longer than {TOTAL_SECONDS:g} s")
            digest.update(data)
            out.write(data)
            if progress is not None:
                progress(done, size)
    if size is not None and done != size:
        raise FetchError(f"only {done} of {size} bytes came")
    return digest.hexdigest()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to HTTPS, and from HTTP to HTTP."""

    def redirect_request(  # noqa: PLR0917  the base class's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request to go on with; raises `FetchError` for a place that is not to be followed to."""
        to = urllib.parse.urlsplit(newurl).scheme
        if to not in _SCHEMES or (req.type == "https" and to != "https"):
            raise FetchError(f"{req.full_url}: refused to be redirected to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> object:
        """As the base class, but the scheme is judged here first, for the base class has words of its own for it."""
        place = headers.get("Location") or headers.get("URI") or ""
        scheme = urllib.parse.urlsplit(urllib.parse.urljoin(req.full_url, place)).scheme
        if scheme not in _SCHEMES:
            raise FetchError(f"{req.full_url}: refused to be redirected to {place}")
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """What opens HTTP and HTTPS: urllib's own opener opens files, FTP and data as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener

"""Bodies of which only a part came: HAProxy sends what it has, and no more than fits into its buffer.

Here: whether a body is all of what was announced, and saying so once for each path. Not here: what follows, which is
the engine's (SecRequestBodyLimitAction, SecResponseBodyLimitAction).

What was announced is Content-Length. A body in chunks, or of HTTP/2 without that header, has no announced length, so
that nobody can tell: it may be whole.

A body that would fit into HAProxy's buffer, but did not come in time, is late: HAProxy was not told to wait for it, as
in coraza-spoa's own examples, where a browser's form comes in a second packet more often than not. To refuse it would
block clean requests at random. One that does not fit can never be inspected whole: for that there is the action of the
limit.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

from adapters.logs import event

if TYPE_CHECKING:
    from adapters.http_objects import Headers

MAX_PATHS = 1000
"""Paths that are named in the log, of all applications; a client can invent any number of them."""
MAX_SHOWN = 200  # bytes of a path in a log line

BUFFER = 15_000
"""Bytes of head and body that fit into HAProxy's buffer: 16,384 less `tune.maxrewrite` (1,024) and the first line.
Where it was enlarged, whoever did so waits for bodies as well."""

BODILESS = (204, 304)  # and 1xx: RFC 9110, 6.4.1


class Extent(Enum):
    """How much of a body came."""

    WHOLE = "whole"
    PERHAPS = "perhaps whole"
    LATE = "a part; the rest would fit"
    PART = "a part; the rest does not fit"


def extent(headers: Headers, received: int) -> tuple[Extent, int]:
    """How much of a body came, and how many bytes were announced (0: none were).

    Args:
        headers: those that go with the body.
        received: bytes of the body.
    """
    announced = -1
    chunked = False
    for name, value in headers:
        length = len(name)
        if length == 14:  # two names among a dozen: their lengths tell them from the others
            if name.lower() == b"content-length":
                text = value.strip(b" \t")
                announced = int(text) if text.isdigit() and len(text) < 20 else -1
        elif length == 17 and name.lower() == b"transfer-encoding":
            chunked = True
    if chunked or (announced < 0 and received):
        return Extent.PERHAPS, 0
    if announced > received:
        head = sum(len(name) + len(value) + 4 for name, value in headers)
        return (Extent.LATE if head + announced <= BUFFER else Extent.PART), announced
    return Extent.WHOLE, max(0, announced)


def has_body(method: bytes, status: int) -> bool:
    """Whether a response has the body that its Content-Length announces (RFC 9110, 6.4.1)."""
    return method != b"HEAD" and status >= 200 and status not in BODILESS


class CutBodies:
    """Tells of cut bodies in the log, once for each application, path and direction.

    Args:
        paths: how many are remembered; beyond, the log says once that there are more.
    """

    def __init__(self, paths: int = MAX_PATHS) -> None:
        self._limit = paths
        self._told: set[tuple[str, bytes, str]] = set()

    def tell(
        self,
        logger: logging.Logger,
        application: str,
        path: bytes,
        direction: str,
        *,
        received: int,
        announced: int,
        late: bool,
    ) -> None:
        """Write a line, unless this was said already.

        Args:
            logger: the application's log.
            application: its name.
            path: of the request.
            direction: ``request`` or ``response``.
            received: bytes that came.
            announced: bytes that were to come.
            late: whether they would have fit.
        """
        key = (application, path[:MAX_SHOWN], direction)
        if key in self._told or len(self._told) > self._limit:
            return
        self._told.add(key)
        if len(self._told) > self._limit:
            event(logger, logging.WARNING, "bodies are cut at more paths than are named here")
            return
        event(
            logger,
            logging.WARNING,
            f"the body of a {direction} was cut, and so inspected in part",
            app=application,
            path=path[:MAX_SHOWN].decode("utf-8", "backslashreplace"),
            received=received,
            announced=announced,
            hint=_hint(direction, late=late),
        )


def _hint(direction: str, *, late: bool) -> str:
    wait = "option http-buffer-request" if direction == "request" else "http-response wait-for-body, and a spoe-group"
    if late:
        return f"HAProxy does not wait for bodies: {wait}"
    return f"a larger tune.bufsize and max-frame-size, where there is {wait}"

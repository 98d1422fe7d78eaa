"""The two halves of an HTTP exchange: plain data, filled by the transaction and read by the variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from waf_engine.types import Entry, UploadedFile


@dataclass(slots=True)
class Connection:
    """Addresses and ports, as text."""

    client_ip: bytes = b""
    client_port: bytes = b"0"
    server_ip: bytes = b""
    server_port: bytes = b"0"


@dataclass(slots=True)
class Request:
    """What is known of the request; lists are in its order.

    Attributes:
        method: as received.
        uri_raw: the request target as received.
        protocol: with ``HTTP/``.
        uri: the target without its fragment.
        path: percent-decoded path.
        basename: the path after its last slash.
        query: the raw query string.
        uri_error: whether the query or the path holds a bad escape.
        headers: (name as received, value).
        cookies: (name, value).
        args_get: arguments of the query string.
        args_post: arguments of the body.
        args_path: arguments of the path (``@restpath``).
        body: the buffered body.
        body_over_limit: whether the body was longer than the limit.
        processor: the body processor's name in upper case; empty for none.
        error: what the body processor found wrong; empty for nothing.
        processed: whether the body was parsed.
        expose_body: whether REQUEST_BODY holds the raw body.
        flags: variables that the body processor set, by name.
        files: uploaded files.
        part_headers: MULTIPART_PART_HEADERS.
        multipart_names: MULTIPART_NAME.
        multipart_filenames: MULTIPART_FILENAME.
        xml: the parsed XML tree.
        server_name: the host that was asked for, without port.
        index: the values of the headers by name in lower case; made by `header_values`.
        indexed: how many headers are in it.
    """

    method: bytes = b""
    uri_raw: bytes = b""
    protocol: bytes = b""
    uri: bytes = b""
    path: bytes = b""
    basename: bytes = b""
    query: bytes = b""
    uri_error: bool = False
    headers: list[Entry] = field(default_factory=list)
    cookies: list[Entry] = field(default_factory=list)
    args_get: list[Entry] = field(default_factory=list)
    args_post: list[Entry] = field(default_factory=list)
    args_path: list[Entry] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    body_over_limit: bool = False
    processor: str = ""
    error: str = ""
    processed: bool = False
    expose_body: bool = False
    flags: dict[str, bytes] = field(default_factory=dict)
    files: list[UploadedFile] = field(default_factory=list)
    part_headers: list[Entry] = field(default_factory=list)
    multipart_names: list[Entry] = field(default_factory=list)
    multipart_filenames: list[Entry] = field(default_factory=list)
    xml: Any = None
    server_name: bytes = b""
    index: dict[bytes, list[bytes]] = field(default_factory=dict)
    indexed: int = 0

    def header_values(self, name: bytes) -> Sequence[bytes]:
        """The values of all headers of a name.

        Args:
            name: in lower case.
        """
        headers = self.headers
        if self.indexed != len(headers):
            index: dict[bytes, list[bytes]] = {}
            for key, value in headers:
                index.setdefault(key.lower(), []).append(value)
            self.index, self.indexed = index, len(headers)
        return self.index.get(name, ())


@dataclass(slots=True)
class Response:
    """What is known of the response; lists are in its order.

    Attributes:
        status: as text.
        protocol: with ``HTTP/``.
        headers: (name as received, value).
        content_type: the whole header.
        body: the buffered body.
        body_over_limit: whether the body was longer than the limit.
        processor: the body processor's name in upper case; empty for none.
        error: what the body processor found wrong; empty for nothing.
        args: leaves of a JSON response.
        xml: the parsed XML tree.
    """

    status: bytes = b""
    protocol: bytes = b""
    headers: list[Entry] = field(default_factory=list)
    content_type: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    body_over_limit: bool = False
    processor: str = ""
    error: str = ""
    args: list[Entry] = field(default_factory=list)
    xml: Any = None

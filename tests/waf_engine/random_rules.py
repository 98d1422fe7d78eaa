"""Random rule sets and exchanges that touch them.

The names, values and patterns are few, so that much matches, and rules get in each other's way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from waf_engine import WAF, Transaction

Header = tuple[bytes, bytes]

HEAD = """
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/html
SecRequestBodyLimit 600
SecRequestBodyNoFilesLimit 600
"""
KEYS = ("k0", "k1", "k2", "k3", "Gate")
"""Members of TX."""
TARGETS = {
    1: (
        "ARGS", "ARGS:a", "ARGS:/^q/", "ARGS|!ARGS:a", "ARGS_GET:b", "ARGS_NAMES", "REQUEST_HEADERS",
        "REQUEST_HEADERS:X-A", "REQUEST_HEADERS|!REQUEST_HEADERS:/^x-/|!REQUEST_HEADERS:Host", "REQUEST_HEADERS_NAMES",
        "REQUEST_HEADERS_NAMES|REQUEST_COOKIES", "REQUEST_COOKIES:c", "REQUEST_COOKIES_NAMES", "REQUEST_METHOD",
        "REQUEST_URI", "QUERY_STRING", "REQUEST_LINE", "REMOTE_ADDR", "REQUEST_BASENAME|ARGS:a",
        "REQUEST_HEADERS:User-Agent|REQUEST_HEADERS:X-A", "XML:/*", "ARGS:a|ARGS:/^q/|!ARGS:q2",
    ),
    3: ("RESPONSE_STATUS", "RESPONSE_HEADERS", "RESPONSE_HEADERS:X-A", "RESPONSE_HEADERS_NAMES", "RES_BODY_PROCESSOR"),
    4: ("RESPONSE_BODY", "RESPONSE_HEADERS:X-A", "RESPONSE_ARGS", "RESPONSE_CONTENT_LENGTH"),
}  # fmt: skip
VOLATILE = (
    "TX:/^k/", "TX:/^n_/", "TX:/^1|k1$/", "TX", "TX:0", "TX:1", "MATCHED_VARS", "MATCHED_VARS_NAMES",
    "HIGHEST_SEVERITY", "REQBODY_PROCESSOR", "ENV:e", "IP:n", "REQUEST_BODY", "ARGS_POST:a", "ARGS_POST",
    "ARGS_COMBINED_SIZE", "REQBODY_ERROR",
)  # fmt: skip
STALE = ("MATCHED_VAR", "MATCHED_VAR_NAME", "RULE:id|MATCHED_VAR")
COUNTS = (
    "&ARGS",
    "&ARGS:a",
    "&REQUEST_HEADERS:X-A",
    "&REQUEST_COOKIES",
    "&TX:k0",
    "&TX:k1",
    "&TX:/^n_/",
    "&ARGS|&TX:k2",
)
TEXTS = (
    "@rx x", "@rx ^x", "@rx (x|1)", "@rx ^(\\w)(\\w)?", "@rx (?i)union\\s+select", "@rx ^$", "@rx .", "@rx ^[^\\s]+$",
    "@rx <[a-z]+", "@rx [\"'`]", "@rx x(?=1)", "@rx (x)\\1", "@rx \\xe9", "@rx a.*=", "@rx ^\\d+$", "@rx [<>=]",
    "@rx x*",
    "@pm x union <script", "@pm select A", "@contains x", "@contains A", "@beginsWith x", "@endsWith 1", "@streq x",
    "@streq 1", "@within x 1 GET /x/", "@containsWord x", "@strmatch A", "@detectXSS", "@detectSQLi",
    "@validateByteRange 32-126", "@validateUrlEncoding", "@validateUtf8Encoding", "@ipMatch 192.0.2.0/24",
    "@unconditionalMatch",
    "@noMatch", "@rxGlobal [a-z]", "@rx ^(?:x|1|A)$", "@rx \\bx\\b", "@rx (?:'|\\\")?x", "@rx ^.*$",
)  # fmt: skip
MACROS = ("@streq %{tx.k1}", "@contains %{tx.k0}", "@rx ^%{tx.k1}$", "@beginsWith %{tx.k2}", "@within %{tx.k0} x")
STALE_MACROS = ("@streq %{MATCHED_VAR}", "@contains %{MATCHED_VAR_NAME}")
NUMBERS = ("@eq 0", "@eq 1", "@ge 1", "@lt 2", "@gt 2", "@le %{tx.k0}", "@eq 2", "@ge %{tx.Gate}")
FUNCTIONS = (
    "lowercase", "uppercase", "urlDecodeUni", "urlDecode", "removeWhitespace", "trim", "compressWhitespace",
    "htmlEntityDecode", "base64Decode", "length", "jsDecode", "cmdLine", "normalizePath", "removeNulls", "hexEncode",
    "replaceComments", "utf8toUnicode", "cssDecode", "none",
)  # fmt: skip
VALUES = (
    b"x", b"1", b"A", b"", b"xx", b"2", b"union select", b"UNION%20select", b"<script>x", b"x=1", b"'x", b"x\x00",
    b"\xe9",
    b"\xff1", b"x\r\n1", b"\n", b" x ", b"GET", b"k1", b"K2", b"Gate", b"x" * 300, b"1 " * 150, b"1' or '1'='1", b"%zz",
    b"&lt;x", b"eA==", b"a\\x41", b"/x/../1", b"x1", b"\t1", b"..", b"ab<c", b"y",
)  # fmt: skip
NAMES = (b"a", b"b", b"c", b"q1", b"q2", b"A", b"", b"Q", b"k1", b"x")
HEADERS = (b"X-A", b"x-a", b"X-a", b"Host", b"User-Agent", b"Cookie", b"cookie", b"X-B", b"HOST", b"Accept", b"x")
LABELS = ("M0", "M1", "M2")


@dataclass(frozen=True)
class Script:
    """An exchange step by step, headers between the phases included.

    Attributes:
        uri: the request target.
        method: the method.
        headers: for each of the phases 1, 2, 3, 4 the headers that are added before it.
        body: the request's body.
        status: the response's status.
        answer: the response's body.
        phases: the phases that are run, in this order.
    """

    uri: bytes = b"/"
    method: bytes = b"GET"
    headers: tuple[tuple[Header, ...], ...] = field(default=((), (), (), ()))
    body: bytes = b""
    status: int = 200
    answer: bytes = b""
    phases: tuple[int, ...] = (1, 2, 3, 4, 5)

    def run(self, waf: WAF) -> Transaction:
        """Run it."""
        tx = waf.transaction("T1")
        tx.process_connection("192.0.2.7", 50000, "198.51.100.1", 80)
        tx.process_uri(self.uri, self.method, b"HTTP/1.1")
        for phase in self.phases:
            for name, value in self.headers[phase - 1] if phase < 5 else ():
                (tx.add_request_header if phase < 3 else tx.add_response_header)(name, value)
            if phase == 1:
                tx.process_request_headers()
            elif phase == 2:
                tx.write_request_body(self.body)
                tx.process_request_body()
            elif phase == 3:
                tx.process_response_headers(self.status, b"HTTP/1.1")
            elif phase == 4:
                tx.write_response_body(self.answer)
                tx.process_response_body()
            else:
                tx.process_logging()
        tx.close()
        return tx


def rule_set(random: Random, *, stale: bool, size: int = 25) -> str:
    """A random rule set.

    Args:
        random: where it comes from.
        stale: whether rules may read MATCHED_VAR as others left it; without them chains are laned by any member.
        size: how many rules.
    """
    maker = _Rules(random, stale)
    out = [HEAD]
    if random.random() < 0.3:
        extra = random.choice(("", ",setvar:tx.k3=+1", ",setvar:'tx.k3=%{MATCHED_VAR}'", ",capture"))
        out.append(f'SecDefaultAction "phase:2,log,auditlog,pass{extra}"')
    out += [maker.rule(number, size) for number in range(1, size + 1)]
    if random.random() < 0.3:
        out += [maker.update(random.randint(1, size)) for _ in range(random.randint(1, 3))]
    return "\n".join(out)


class _Rules:
    """Makes the directives of one set."""

    def __init__(self, random: Random, stale: bool) -> None:
        self.random = random
        self.stale = stale
        self.settings = random.random() < 0.7  # begins with settings on TX alone
        self.phases = random.choice(((1, 1, 1, 2, 2, 2, 2, 3, 4, 5), (1, 2, 2, 5, 5), (1,), (2,), (1, 2), (3, 4, 5)))
        self.alone = random.choice((0.1, 0.3, 0.6, 0.8))  # rules on TX alone
        self.passing = random.choice((0.8, 0.93, 1.0))

    def rule(self, number: int, size: int) -> str:
        """One rule, or a marker, or both."""
        random = self.random
        if random.random() < 0.12:
            return f"SecMarker {random.choice(LABELS)}"
        phase = random.choice(self.phases)
        if self.settings and number < size // 4:
            phase = 1
        actions = [f"id:{number}", f"phase:{phase}", self.disruption(), random.choice(("nolog", "nolog", "log"))]
        chain = random.choice((0, 0, 0, 0, 1, 1, 2, 3))
        if random.random() < 0.1:
            actions.append(f"skip:{random.randint(1, 3)}")
        if random.random() < 0.15:
            actions.append(f"skipAfter:{random.choice(LABELS)}")
        if random.random() < 0.3:
            actions.append(f"tag:{random.choice(('t1', 't2'))}")
        if random.random() < 0.3:
            actions.append(f"severity:{random.choice(('CRITICAL', 'NOTICE', '5'))}")
        if random.random() < 0.3:
            actions.append("msg:'" + self.text() + "'")
        if random.random() < 0.2:
            actions.append("logdata:'" + self.text() + "'")
        alone = random.random() < (0.8 if self.settings and number < size // 4 else self.alone)
        lines = [self.directive(phase, actions + self.effects(), chain > 0, alone=alone, first=True)]
        lines += [self.directive(phase, self.effects(), level + 1 < chain, alone=alone) for level in range(chain)]
        return "\n".join(lines)

    def directive(self, phase: int, actions: list[str], chained: bool, *, alone: bool, first: bool = False) -> str:
        """One SecRule or SecAction."""
        random = self.random
        actions = [*actions, "chain"] if chained else actions
        if first and random.random() < 0.2:
            return f'SecAction "{",".join(actions)}"'
        counted = False
        if alone:
            target = random.choice([f"TX:{key}" for key in KEYS] * 2 + [f"&TX:{KEYS[0]}", f"&TX:{KEYS[1]}"])
            counted = True
        elif random.random() < 0.15:
            target, counted = random.choice(COUNTS), True
        elif random.random() < 0.25:
            target = random.choice(VOLATILE)
        elif self.stale and random.random() < 0.1:
            target = random.choice(STALE)
        else:
            pool = [t for since, some in TARGETS.items() if since <= phase for t in some]
            pool = list(TARGETS[phase]) * 3 + pool if phase in {3, 4} else pool
            target = random.choice(pool)
        pool = TEXTS
        if counted and random.random() < 0.7:
            pool = NUMBERS
        elif random.random() < 0.15:
            pool = MACROS + STALE_MACROS if self.stale or not first else MACROS
        operator = random.choice(pool)
        if operator.startswith("@detect") and alone:
            operator = "@streq 1"
        if random.random() < 0.2:
            operator = "!" + operator
        functions = [f"t:{name}" for name in random.choices(FUNCTIONS, k=random.choice((0, 0, 1, 1, 2, 3)))]
        return f'SecRule {target} "{_quoted(operator)}" "{",".join([*actions, "t:none", *functions])}"'

    def disruption(self) -> str:
        """Mostly pass."""
        if self.random.random() < self.passing:
            return "pass"
        return self.random.choice(("deny", "drop", "allow", "allow:phase", "allow:request", "deny,status:401", "block"))

    def text(self) -> str:
        """A text with macros."""
        words = ["a", "%{tx.k0}", "%{tx.1}", "%{TX.0}", "%{rule.id}", "%{tx.n_args:a}", "%{ARGS.a}"]
        if self.stale or self.random.random() < 0.4:
            words += ["%{MATCHED_VAR}", "%{MATCHED_VAR_NAME}"]
        return " ".join(self.random.choices(words, k=2))

    def effects(self) -> list[str]:
        """Actions that do something, and what shapes the operator."""
        random = self.random
        found: list[str] = []
        if random.random() < 0.25:
            found.append("capture")
        if random.random() < 0.1:
            found.append("multiMatch")
        found += [self.setvar() for _ in range(random.choice((0, 0, 1, 1, 2)))]
        if random.random() < 0.12:
            found.append(self.ctl())
        if random.random() < 0.06:
            found.append(random.choice(("setenv:e=%{tx.k0}", "initcol:ip=%{REMOTE_ADDR}", "setvar:ip.n=+1")))
        if random.random() < 0.03:
            found.append(random.choice(("sanitiseMatched", "sanitiseMatchedBytes:0/1")))
        return found

    def setvar(self) -> str:
        """Something written to TX."""
        random = self.random
        key = random.choice(KEYS)
        names = [key] * 6 + [
            "n_%{MATCHED_VAR_NAME}",
            "%{tx.0}",
            "%{tx.k1}",
            "k%{tx.k0}",
            "n_%{tx.k2}",
            "1",
            "%{tx.1}_x",
        ]
        name = random.choice(names)
        if random.random() < 0.12:
            return f"setvar:'!tx.{name}'"
        values = [
            "0",
            "1",
            "2",
            "x",
            "+1",
            "-1",
            "+%{tx.k1}",
            "%{tx.k0}",
            "%{tx.0}",
            "k1",
            "%{MATCHED_VAR}",
            "%{ARGS.a}",
        ]
        return f"setvar:'tx.{name}={random.choice(values)}'"

    def ctl(self) -> str:
        """Something changed for the rules that follow."""
        random = self.random
        one = random.randint(1, 25)
        part = random.choice(("ARGS:a", "TX:k0", "TX:k1", "ARGS", "ARGS:/^q/", "REQUEST_HEADERS:X-A", "TX:/k/", "TX"))
        return "ctl:" + random.choice((
            f"ruleRemoveById={one}", f"ruleRemoveById={one}-{one + 3}", "ruleRemoveByTag=t1",
            f"ruleRemoveTargetById={one};{part}", f"ruleRemoveTargetById={one}-{one + 5};{part}",
            f"ruleRemoveTargetByTag=t2;{part}", "ruleEngine=DetectionOnly", "requestBodyProcessor=JSON",
            "requestBodyProcessor=URLENCODED", "forceRequestBodyVariable=On", "responseBodyProcessor=JSON",
            "requestBodyProcessor=XML", "ruleEngine=Off",
        ))  # fmt: skip

    def update(self, number: int) -> str:
        """A directive that changes a rule."""
        random = self.random
        if random.random() < 0.6:
            actions = random.choice(
                (
                    "setvar:'tx.k2=%{MATCHED_VAR}'",
                    "log",
                    "capture",
                    "setvar:tx.k0=1",
                    "msg:'%{MATCHED_VARS}'",
                    "t:lowercase",
                )
            )
            return f'SecRuleUpdateActionById {number} "{actions}"'
        targets = ["!ARGS:a", "ARGS:b", "!TX:k0", "TX:k1", "!REQUEST_HEADERS:/^x/"]
        targets += ["MATCHED_VARS", "MATCHED_VAR"] if self.stale else []
        return f'SecRuleUpdateTargetById {number} "{random.choice(targets)}"'


def _quoted(text: str) -> str:
    return text.replace('\\"', '"').replace('"', '\\"')


def script(random: Random) -> Script:
    """A random exchange."""

    def some(names: tuple[bytes, ...], most: int) -> tuple[Header, ...]:
        return tuple((random.choice(names), random.choice(VALUES)) for _ in range(random.randint(0, most)))

    def pairs(found: tuple[Header, ...], escape: bool) -> bytes:
        return b"&".join(name + b"=" + (_escaped(value) if escape else value) for name, value in found)

    request = list(some(HEADERS, 4))
    for at, (name, value) in enumerate(request):
        if name.lower() == b"cookie":
            request[at] = (name, b"c=" + value + b"; d=x")
    body = random.choice(
        (b"", b"", pairs(some(NAMES, 4), random.random() < 0.5), b'{"a": "x", "b": [1, "A"]}', b"<a>x</a>")
    )
    if random.random() < 0.03:
        body = b"a=" + b"x" * 700
    if body:
        kinds = (b"application/x-www-form-urlencoded", b"application/json", b"text/xml")
        request.append((random.choice((b"Content-Type", b"content-type")), random.choice(kinds)))
    query = pairs(some(NAMES, 5), random.random() < 0.6)
    late = some(HEADERS, 2) if random.random() < 0.15 else ()
    answer = ((b"Content-Type", random.choice((b"text/html", b"image/png"))), *some(HEADERS, 2))
    phases = random.choice((
        *(((1, 2, 3, 4, 5),) * 8), (1, 2, 5), (1, 2, 3, 5), (1, 5), (2, 3, 5), (2, 1, 5), (1, 3, 4, 5), (5,), (1, 2,
        4, 5),
        (1, 2, 3, 4), (4, 5), (3, 4), (1, 1, 2, 2, 5),
    ))  # fmt: skip
    return Script(
        uri=random.choice((b"/", b"/x", b"/x/1", b"/%20x", b"/\xe9")) + (b"?" + query if query else b""),
        method=random.choice((b"GET", b"POST", b"x")),
        headers=(tuple(request), late, answer, some(HEADERS, 1) if late else ()),
        body=body,
        status=random.choice((200, 404, 500)),
        answer=random.choice((b"", b"x", b"union select", b'{"a": "x"}', b"x" * 40)),
        phases=phases,
    )


def _escaped(value: bytes) -> bytes:
    return b"".join(
        b"%%%02x" % byte if byte in b"&=%+#\r\n\0 <>'\"" or byte > 126 else bytes((byte,)) for byte in value
    )

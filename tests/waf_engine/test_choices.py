"""The choices of docs/seclang.md: where Coraza and libmodsecurity differ, or this engine from both, what is done here.

One row of a table for each choice, as a person sees it: rules, a request, and which rules matched, what a variable
held, what a transformation gave or what was said of the rules. `tests/waf_engine/test_seclang_reference.py` holds this
table and that of the page together. Details are tested beside their code.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.waf_engine.support import begin, exchange, faults, load, matched, values, warnings
from waf_engine import Interruption
from waf_engine.transformations import transformations

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("each_executor")

BODIES = """
    SecRequestBodyAccess On
    SecResponseBodyAccess On
    SecResponseBodyMimeType text/html application/json text/xml
    SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:9001,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
    SecRule REQUEST_HEADERS:Content-Type "@contains xml" "id:9002,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"
"""
JSON, XML = ("Content-Type", "application/json"), ("Content-Type", "text/xml")
FORM_DATA = ("Content-Type", "multipart/form-data; boundary=x")
RULE = 'SecRule ARGS "@rx b" "id:1,phase:2,pass'
PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
TOO_FAR = 8000
"""Ids beyond are the preparations of a row, not its result."""

Row = tuple["Callable[[], object]", object]


def hits(rules: str, uri: str = "/?a=b", **options: Any) -> Callable[[], object]:
    """The ids that match."""
    return lambda: [number for number in matched(exchange(BODIES + rules, uri, **options)) if number < TOO_FAR]


def holds(variable: str, uri: str = "/?a=b", rules: str = "", **options: Any) -> Callable[[], object]:
    """The values of a variable at the end of an exchange."""
    return lambda: [value for _, value in values(exchange(BODIES + rules, uri, **options), variable)]


def keys(variable: str, **options: Any) -> Callable[[], object]:
    """The keys of a collection at the end of an exchange."""
    return lambda: [key for key, _ in values(exchange(BODIES, **options), variable)]


def tx_after(rules: str, key: bytes, uri: str = "/?a=b", **options: Any) -> Callable[[], object]:
    """A member of TX at the end of an exchange."""
    return lambda: exchange(BODIES + rules, uri, **options).tx.get(key)


def t(name: str, *pairs: tuple[bytes, bytes]) -> Row:
    """A transformation of values, and what they become."""

    def apply() -> object:
        function = transformations.get(name)
        assert function is not None
        return [function(value) for value, _ in pairs]

    return apply, [result for _, result in pairs]


def refused(rules: str) -> Callable[[], object]:
    """The codes of the errors."""
    return lambda: [code for code, _, _ in faults(rules)]


def warned(rules: str) -> Callable[[], object]:
    """The codes of the warnings of rules that load."""
    return lambda: [code for code, _, _ in warnings(rules)]


def verdict(rules: str, uri: str = "/?a=b", **options: Any) -> Callable[[], object]:
    """The interruption."""
    return lambda: exchange(BODIES + rules, uri, **options).interruption


def message(rules: str, uri: str = "/?a=b") -> Callable[[], object]:
    """The message of the first match."""
    return lambda: exchange(rules, uri).matched_rules[0].message


READING: dict[str, Row] = {
    "comment-inside": (hits('SecRule ARGS \\\n  # why\n\n  "@rx b" \\\n  "id:1,phase:2,pass"'), [1]),
    "blanks-at-ends": (hits('\u00a0SecRule ARGS "@rx b" "id:1,phase:2,pass"\u00a0\n'), [1]),
    "blank-after-backslash": (
        lambda: [see('SecRule ARGS \\ \n"@rx b" "id:1,phase:2,pass"')() for see in (hits, warned)],
        [[1], ["blanks-after-backslash"]],
    ),
    "quoted-over-lines": (refused('SecRule ARGS "@rx b\nc" "id:1,phase:2"'), ["unclosed-quote"]),
    "single-quotes": (hits("SecRule ARGS '@rx b' 'id:1,phase:2,pass'"), [1]),
    "unquoted": (
        lambda: [
            refused('SecRule ARGS "@rx b" id:1,phase:2,pass')(), refused('SecRule ARGS @rx b "id:1,phase:2"')(),
            hits('SecRule ARGS b "id:1,phase:2,pass"')(), hits("SecAction id:1,phase:2,pass")(),
        ],
        [["unquoted-actions"], ["unquoted-operator"], [1], [1]],
    ),
    "comma-separates": (
        lambda: [hits('SecRule ARGS_NAMES,ARGS "@rx b" "id:1,phase:2,pass"')(),
                 hits('SecRule "ARGS:\'a,b\'" "@rx c" "id:1,phase:2,pass"', "/?a,b=c")()],
        [[1], [1]],
    ),
    "slash-selector": (
        lambda: [hits('SecRule ARGS:/a/b/ "@rx c" "id:1,phase:2,pass"', "/?xa/by=c")(),
                 refused('SecRule ARGS:/a "@rx c" "id:1,phase:2"')()],
        [[1], ["unclosed-regex"]],
    ),
    "dot-selector": (refused('SecRule ARGS.a "@rx b" "id:1,phase:2"'), ["bad-variable"]),
    "blank-before-operator": (
        lambda: [hits('SecRule ARGS " @rx b" "id:1,phase:2,pass"')(),
                 hits('SecRule ARGS "! @rx c" "id:1,phase:2,pass"')(),
                 hits('SecRule ARGS "@streq  b " "id:1,phase:2,pass"')()],
        [[1], [1], [1]],
    ),
    "empty-operator": (
        lambda: [hits('SecRule ARGS "" "id:1,phase:2,pass"')(), warned('SecRule ARGS "" "id:1,phase:2,pass"')()],
        [[1], ["empty-operator"]],
    ),
    "backslash-in-action": (
        lambda: [message(RULE + rf",msg:{text}" + '"')() for text in (r"'It\'s \\ \d'", r"a\,b")],
        ["It's \\\\ \\d", "a,b"],
    ),
    "quote-swallows-action": (
        lambda: [refused("SecRule ARGS \"@rx b\" \"id:1,phase:2,msg:'It's bad',deny\"")(),
                 warned("SecRule ARGS \"@rx b\" \"id:1,phase:2,deny,msg:'abc\"")()],
        [["text-after-quote"], ["unclosed-quote"]],
    ),
    "comment-behind": (hits('SecRuleEngine On # all of it\nSecRule ARGS "@rx b" "id:1,phase:2,pass" # x'), [1]),
    "stray-backslash": (refused('SecRuleEngine On \\\nSecRule ARGS "@rx b" "id:1,phase:2"'), ["stray-backslash"]),
    "if-module": (refused("<IfModule security2_module>\nSecRuleEngine On\n</IfModule>"), ["apache-section"]),
}  # fmt: skip

RULES: dict[str, Row] = {
    "missing-macro": (message(RULE + ",msg:'<%{tx.no}>'\""), "<tx.no>"),
    "captures-empty": (message(RULE + ",msg:'<%{tx.0}>'\""), "<>"),
    "unknown-variable-in-macro": (refused(RULE + ",msg:'%{nothing}'\""), ["unknown-variable"]),
    "regex-key-case": (hits('SecRule ARGS:/^Fo/ "@rx b" "id:1,phase:2,pass"', "/?Foo=b"), [1]),
    "tx-count": (hits('SecRule &TX "@eq 0" "id:1,phase:1,pass"'), [1]),
    "skip-without-marker": (
        hits('SecAction "id:1,phase:1,pass,skipAfter:NO"\nSecAction "id:2,phase:1,pass"\n'
             'SecAction "id:3,phase:2,pass"'),
        [1, 3],
    ),
    "allow-ends-all": (
        lambda: [
            hits(f'SecAction "id:1,phase:1,allow{reach}"\nSecAction "id:2,phase:1,pass"\n'
                 'SecAction "id:3,phase:2,pass"\n'
                 'SecAction "id:4,phase:3,pass"\nSecAction "id:5,phase:5,pass"')()
            for reach in ("", ":request", ":phase")
        ],
        [[1], [1, 4, 5], [1, 3, 4, 5]],
    ),
    "setvar-without-value": (
        lambda: [tx_after('SecAction "id:1,phase:1,pass,setvar:tx.x"', b"x")(),
                 tx_after('SecAction "id:1,phase:1,pass,setvar:tx.x=2,setvar:!tx.x"', b"x")()],
        [b"1", None],
    ),
    "setvar-arithmetic": (
        lambda: [tx_after(f'SecAction "id:1,phase:1,pass,setvar:tx.x={was},setvar:tx.x={step}"', b"x")()
                 for was, step in (("4", "+5"), ("4", "-5"), ("abc", "+5"), ("4", "+abc"))],
        [b"9", b"-1", b"abc", b"+abc"],
    ),
    "redirect-macros": (
        verdict('SecAction "id:1,phase:1,redirect:/blocked?by=%{unique_id}"'),
        Interruption("redirect", 302, "/blocked?by=T1", 1),
    ),
    "exclusions-after-rules": (
        lambda: [hits('SecRule ARGS "@rx b" "id:1,phase:2,pass"\nSecRuleRemoveById 1')(),
                 warned('SecRuleRemoveById 1\nSecRule ARGS "@rx b" "id:1,phase:2,pass"')()],
        [[], ["no-rule"]],
    ),
    "update-all-ids": (
        hits('SecRule ARGS "@rx b" "id:1,phase:2,pass"\nSecRule ARGS "@rx b" "id:2,phase:2,pass"\n'
             'SecRuleUpdateTargetById 1 2 "!ARGS:a"'),
        [],
    ),
    "default-transformations": (
        hits('SecDefaultAction "phase:2,pass,t:lowercase"\nSecRule ARGS "@streq b" "id:1,phase:2,pass"', "/?a=B"),
        [1],
    ),
    "default-by-phase": (
        lambda: [(rule.rule_id, rule.log) for rule in exchange(
            'SecAction "id:1,phase:1,pass"\nSecAction "id:2,phase:2,pass"').matched_rules],
        [(1, False), (2, True)],
    ),
    "disruptive-in-chain": (refused(RULE + ',chain"\nSecRule ARGS "@rx b" "deny"'), ["bad-chain"]),
    "old-captures-stay": (
        hits('SecRule ARGS:a "@rx (.)(.)" "id:1,phase:2,pass,capture"\n'
             'SecRule ARGS:b "@rx (.)" "id:2,phase:2,pass,capture"\n'
             'SecRule TX:2 "@streq y" "id:3,phase:2,pass"', "/?a=xy&b=z"),
        [1, 2, 3],
    ),
    "order-of-request": (holds("ARGS", "/?z=1&a=2&m=3&z=4"), [b"1", b"2", b"3", b"4"]),
    "caseless-names": (hits('SecRule ARGS:FOO "@streq b" "id:1,phase:2,pass"', "/?foo=b"), [1]),
    "detection-only": (verdict('SecRuleEngine DetectionOnly\nSecAction "id:1,phase:1,deny"'), None),
    "setenv-stays-here": (
        lambda: ["WAF_CHOICE" in os.environ, holds("ENV", rules='SecAction "id:1,phase:1,pass,setenv:WAF_CHOICE=1"')()],
        [False, [b"1"]],
    ),
    "ctl-case": (hits('SecAction "id:1,phase:1,pass,ctl:RULEREMOVEBYID=2"\nSecAction "id:2,phase:2,pass"'), [1]),
    "ctl-range-list": (
        hits("SecAction \"id:1,phase:1,pass,ctl:'ruleRemoveById=2,4-5'\"\n"
             + "\n".join(f'SecAction "id:{n},phase:2,pass"' for n in range(2, 7))),
        [1, 3, 6],
    ),
}  # fmt: skip

TRANSFORMATIONS: dict[str, Row] = {
    "case-is-ascii": t("lowercase", (b"A\xc9\xc3\x89", b"a\xc9\xc3\x89")),
    "best-fit-built-in": t("urlDecodeUni", (b"%u2019%uff1c%u0141", b"'<L")),
    "css-code-points": t("cssDecode", (b"\\e9 x", "éx".encode()), (b"\\0", "\ufffd".encode())),
    "html-all-entities": t("htmlEntityDecode", (b"&eacute;&#233;&lt", "éé<".encode())),
    "octal-escapes": t("jsDecode", (b"\\101", b"A")),
    "escape-seq": t("escapeSeqDecode", (b"\\101\\z", b"Az")),
    "utf8-invalid-kept": t("utf8toUnicode", (b"\xff\xc3\xa9", b"\xff%u00e9")),
    "compress-blanks": t("compressWhitespace", (b"a \t b\xa0\x85c", b"a b\xa0\x85c")),
    "remove-blanks": t("removeWhitespace", (b"a\xc2\xa0b\xa0c", b"ab\xa0c")),
    "base64-partial": t("base64Decode", (b"YWJj!ZGVm", b"abc")),
    "base64-ext": t("base64DecodeExt", (b"YW!Jj", b"abc"), (b"-_-_", b"\xfb\xff\xbf")),
    "hex-partial": t("hexDecode", (b"4142G", b"AB"), (b"G", b"G")),
    "sql-hex-nul": t("sqlHexDecode", (b"a\x000x41", b"a\0A")),
    "path-of-slash": t("normalisePath", (b"/", b"/"), (b"../a", b"../a")),
    "path-win": t("normalisePathWin", (b"c:\\a.\\b. ", b"c:/a/b"), (b"a.php::$DATA", b"a.php")),
    "comment-at-end": t("removeComments", (b"a/**//**/b", b"ab")),
    "parity-eight-bits": t("parityEven7bit", (b"\x81", b"\x01")),
}

OPERATORS: dict[str, Row] = {
    "numbers": (hits('SecRule ARGS "@eq 0" "id:1,phase:2,pass"', "/?a=12abc"), [1]),
    "big-numbers": (hits('SecRule ARGS "@gt 5" "id:1,phase:2,pass"', "/?a=99999999999999999999999"), [1]),
    "pm-hex": (hits('SecRule ARGS "@pm |62 63|" "id:1,phase:2,pass"', "/?a=xbcx"), [1]),
    "pm-captures": (
        hits('SecRule ARGS "@pm b c" "id:1,phase:2,pass,capture"\n'
             'SecRule TX:1 "@streq c" "id:2,phase:2,pass"', "/?a=bc"),
        [1, 2],
    ),
    "word-letters": (hits('SecRule ARGS "@containsWord b" "id:1,phase:2,pass"', "/?a=a+b%C3%A9"), [1]),
    "ip-mapped": (
        lambda: [number for rule in ['SecRule ARGS "@ipMatch 10.0.0.0/8" "id:1,phase:2,pass"']
                 for number in matched(exchange(rule, "/?a=::ffff:10.1.2.3"))],
        [1],
    ),
    "ip-bad-network": (warned('SecRule ARGS "@ipMatch 10.0.0.0/8,nonsense" "id:1,phase:2,pass"'), ["suspicious"]),
    "rx-blank": (
        lambda: [hits('SecRule ARGS "@rx ^a\\sb$" "id:1,phase:2,pass"', f"/?a=a%{code}b")() for code in ("0c", "0b")],
        [[1], []],
    ),
    "rx-flags": (hits('SecRule ARGS "@rx ^b.c$" "id:1,phase:2,pass"', "/?a=x%0Ab%0Ac%0Ay"), [1]),
    "rx-caseless": (hits('SecRule ARGS "@rx (?i)^\\xe9$" "id:1,phase:2,pass"', "/?a=%C9"), []),
    "rx-bytes": (
        lambda: [hits(f'SecRule ARGS "@rx ^a\\W{{{n}}}b$" "id:1,phase:2,pass"', "/?a=a%C3%A9b")() for n in (1, 2)],
        [[], [1]],
    ),
    "rx-macro": (
        hits('SecAction "id:1,phase:1,pass,setvar:tx.p=^b"\nSecRule ARGS "@rx %{tx.p}$" "id:2,phase:2,pass"'), [1, 2]
    ),
    "rx-bound": (
        hits('SecPcreMatchLimit 1000\nSecRule ARGS "@rx (?:.*?,){9}b(?!c)" "id:1,phase:2,pass"\n'
             'SecRule MSC_PCRE_LIMITS_EXCEEDED "@eq 1" "id:2,phase:2,pass"', "/?a=" + "a," * 300 + "bc"),
        [2],
    ),
    "rx-global": (
        hits('SecRule ARGS "@rxGlobal \\d" "id:1,phase:2,pass,capture"\nSecRule TX:2 "@streq 3" "id:2,phase:2,pass"',
             "/?a=1x2x3"),
        [1, 2],
    ),
    "within-empty": (hits('SecRule ARGS "@within abc" "id:1,phase:2,pass"', "/?a="), [1]),
    "fingerprint": (
        hits('SecRule ARGS "@detectSQLi" "id:1,phase:2,pass,capture"\n'
             'SecRule TX:0 "@rx ^[a-zA-Z0-9&()]+$" "id:2,phase:2,pass"',
             "/?a=1'+or+'1'='1"),
        [1, 2],
    ),
    "rest-path": (
        lambda: exchange(BODIES + 'SecRule REQUEST_FILENAME "@restpath /u/{id}" "id:1,phase:1,pass"\n'
                         'SecRule ARGS_PATH:id "@streq 7" "id:2,phase:1,pass"', "/u/7").request.args_path,
        [(b"id", b"7")],
    ),
    "geo-without-database": (
        warned('SecRule REMOTE_ADDR "@geoLookup" "id:1,phase:1,pass"'), ["suspicious"],
    ),
    "rbl-without-resolver": (
        lambda: [warned('SecRule REMOTE_ADDR "@rbl bl.example.org" "id:1,phase:1,pass"')(),
                 hits('SecRule REMOTE_ADDR "@rbl bl.example.org" "id:1,phase:1,pass"')()],
        [["suspicious"], []],
    ),
    "inspect-file-off": (refused('SecRule FILES_TMPNAMES "@inspectFile /bin/true" "id:1,phase:2"'), ["not-allowed"]),
}  # fmt: skip

BODY: dict[str, Row] = {
    "fragment": (
        lambda: [holds(name, "/p?a=b#c=d")() for name in ("REQUEST_URI", "QUERY_STRING", "ARGS_GET")],
        [[b"/p?a=b"], [b"a=b"], [b"b#c=d"]],
    ),
    "uri-is-raw": (holds("REQUEST_URI", "http://h/%7ea?x=%zz"), [b"http://h/%7ea?x=%zz"]),
    "bad-path-loses-nothing": (holds("ARGS_GET", "/x%zz?a=1"), [b"1"]),
    "filename-without-host": (holds("REQUEST_FILENAME", "http://h/a%20b?x"), [b"/a b"]),
    "form-charset": (
        holds("ARGS_POST", body=b"a=b", headers=[("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]),
        [b"b"],
    ),
    "bad-escape-flag": (holds("URLENCODED_ERROR", body=b"a=%zz"), [b"1"]),
    "arguments-limit": (
        lambda: [holds(name, rules="SecArgumentsLimit 2", body=b"a=1&b=2&c=3")()
                 for name in ("REQBODY_ERROR", "ARGS_POST")],
        [[b"1"], [b"1", b"2"]],
    ),
    "cookies-trimmed": (
        lambda: values(exchange("SecRuleEngine On", headers=[("Cookie", 'a=1; d ; =x; e="2"')]), "REQUEST_COOKIES"),
        [(b"a", b"1"), (b"d", b""), (b"e", b'"2"')],
    ),
    "multipart-strict": (
        lambda: [holds(name, body=b"intro\r\n" + PART + b"--x--", headers=[FORM_DATA])()
                 for name in ("MULTIPART_STRICT_ERROR", "MULTIPART_DATA_BEFORE", "REQBODY_ERROR", "ARGS_POST")],
        [[b"1"], [b"1"], [b"0"], [b"b"]],
    ),
    "multipart-no-end": (holds("REQBODY_ERROR", body=PART, headers=[FORM_DATA]), [b"0"]),
    "multipart-after-end": (
        holds("ARGS_POST", headers=[FORM_DATA],
              body=PART + b"--x--\r\n" + PART.replace(b"\r\nb\r\n", b"\r\nc\r\n") + b"--x--"),
        [b"b", b"c"],
    ),
    "files-by-field": (
        lambda: values(exchange(BODIES, headers=[FORM_DATA],
                                body=PART.replace(b'"a"', b'"a"; filename="f.txt"') + b"--x--"), "FILES"),
        [(b"a", b"f.txt")],
    ),
    "form-field-sizes": (holds("FILES_COMBINED_SIZE", body=PART + b"--x--", headers=[FORM_DATA]), [b"0"]),
    "json-names": (keys("ARGS_POST", body=b'{"a":{"b":["x"]}}', headers=[JSON]), [b"json.a.b.0", b"json.a.b"]),
    "json-duplicates": (holds("ARGS_POST", body=b'{"a":1,"a":2}', headers=[JSON]), [b"1", b"2"]),
    "json-after-a-fault": (
        lambda: [holds(name, body=b'{"a":"b" "c":"d', headers=[JSON])() for name in ("ARGS_POST", "REQBODY_ERROR")],
        [[b"b", b"d"], [b"1"]],
    ),
    "json-raw-body": (tx_after("", b"json_request_body", body=b"[1]", headers=[JSON]), b"[1]"),
    "json-response-body": (
        tx_after('SecAction "id:8001,phase:3,pass,nolog,ctl:responseBodyProcessor=JSON"', b"json_response_body",
                 response_headers=[JSON], response_body=b"[1]"),
        b"[1]",
    ),
    "request-body-of-json": (holds("REQUEST_BODY", body=b"[1]", headers=[JSON]), [b""]),
    "xml-not-well-formed": (
        lambda: [holds(name, body=b"<a>x<b>y</a>z", headers=[XML])() for name in ("REQBODY_ERROR", "XML")],
        [[b"1"], [b"x", b"y", b"z"]],
    ),
    "xml-texts-apart": (holds("XML", body=b"<a><b> x </b><b>y</b></a>", headers=[XML]), [b"x", b"y"]),
    "xml-name-spaces": (
        hits('SecRule XML://@* "@streq urn:n" "id:1,phase:2,pass"', body=b'<a xmlns="urn:n"/>', headers=[XML]), [1]
    ),
    "xml-xpath": (
        hits('SecRule XML:/n:a/n:b "@streq y" "id:1,phase:2,pass,xmlns:n=urn:n"',
             body=b'<a xmlns="urn:n"><b>y</b></a>', headers=[XML]),
        [1],
    ),
    "body-limit-reached": (
        verdict("SecRequestBodyLimit 3", body=b"a=1"), Interruption("deny", 413, "", 0),
    ),
    "body-limit-partial": (
        lambda: [holds(name, rules="SecRequestBodyLimit 3\nSecRequestBodyLimitAction ProcessPartial", body=b"a=12")()
                 for name in ("ARGS_POST", "INBOUND_DATA_ERROR")],
        [[b"1"], [b"1"]],
    ),
    "phase-4-without-body": (hits('SecResponseBodyAccess Off\nSecAction "id:1,phase:4,pass"'), [1]),
    "mime-type-replaces": (
        holds("RESPONSE_BODY", rules="SecResponseBodyMimeType text/plain", response_body=b"x"), [b""]
    ),
    "mime-type-case": (
        holds("RESPONSE_BODY", response_headers=[("Content-Type", "Text/HTML; charset=x")], response_body=b"x"), [b"x"]
    ),
    "args-sizes": (holds("ARGS_COMBINED_SIZE", "/?ab=c&d=e"), [b"5"]),
    "server-name": (holds("SERVER_NAME", headers=[("Host", "h.example:8080")]), [b"h.example"]),
    "remote-host": (holds("REMOTE_HOST"), [b"192.0.2.7"]),
    "response-content-length": (holds("RESPONSE_CONTENT_LENGTH", response_body=b"abc"), [b"3"]),
}  # fmt: skip

CHOICES = READING | RULES | TRANSFORMATIONS | OPERATORS | BODY


@pytest.mark.parametrize("choice", CHOICES)
def test_choice(choice: str):
    actual, expected = CHOICES[choice]

    assert actual() == expected


def test_no_choice_is_there_twice():
    assert len(CHOICES) == sum(map(len, (READING, RULES, TRANSFORMATIONS, OPERATORS, BODY)))


SCHEMA = {"type": "object", "required": ["name"]}


@pytest.mark.parametrize(("body", "violation"), [(b'{"name":"x"}', False), (b'{"nam":"x"}', True), (b"{", True)])
def test_a_json_schema_is_asked_about_the_body(tmp_path: Any, body: bytes, violation: bool):
    pytest.importorskip("jsonschema_rs")
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA))
    rules = (
        BODIES
        + """
        SecAction "id:8001,phase:3,pass,nolog,ctl:responseBodyProcessor=JSON"
        SecRule REQUEST_BODY "@validateSchema s.json" "id:1,phase:2,pass"
        SecRule RESPONSE_BODY "@validateSchema s.json" "id:2,phase:4,pass"
    """
    )
    waf = load(rules, root=tmp_path)

    asked = matched(exchange(waf, headers=[JSON], body=body))
    answered = matched(exchange(waf, response_headers=[JSON], response_body=body))

    assert ((1 in asked), (2 in answered)) == (violation, violation)


@pytest.mark.parametrize(
    ("body", "violation"),
    [(b"<a><b/></a>", False), (b"<a>x<b/></a>", True), (b"<a/>", True), (b"<a><b/>", True), (b"<a>x<b/>", True)],
)
def test_a_dtd_is_asked_about_the_tree(tmp_path: Any, body: bytes, violation: bool):
    (tmp_path / "a.dtd").write_text("<!ELEMENT a (b)><!ELEMENT b EMPTY>")
    waf = load(BODIES + 'SecRule XML "@validateDTD a.dtd" "id:1,phase:2,pass"', root=tmp_path)

    assert (1 in matched(exchange(waf, headers=[XML], body=body))) == violation


def test_debug_log_level_is_that_of_the_transaction():
    tx = begin('SecAction "id:1,phase:1,pass,ctl:debugLogLevel=4"')
    tx.process_request_headers()

    assert tx.debug_log_level == 4

"""The MULTIPART processor: parts, files, the strict flags; CRS's and python-multipart's bodies; libmodsecurity."""

from __future__ import annotations

import base64
import quopri
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from waf_engine.bodies.multipart import FLAGS, STRICT_FLAGS, process_multipart
from waf_engine.types import BodyContext, BodyLimits, BodyResult

if TYPE_CHECKING:
    from pathlib import Path

TYPE = b"multipart/form-data; boundary=B"
FIELD = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
END = b"--B--\r\n"


def run(body: bytes, content_type: bytes = TYPE, *, truncated: bool = False, **limits: int) -> BodyResult:
    return process_multipart(
        body, BodyContext(content_type=content_type, truncated=truncated, limits=BodyLimits(**limits))
    )


def part(disposition: bytes, content: bytes = b"1", more: bytes = b"") -> bytes:
    return b"--B\r\nContent-Disposition: " + disposition + b"\r\n" + more + b"\r\n" + content + b"\r\n"


def raised(result: BodyResult) -> set[str]:
    """The flags that are set, without the prefix all have; two names of one flag count as one."""
    names = {name.removeprefix("MULTIPART_") for name, value in result.flags.items() if value != b"0"}
    return names - {"SEMICOLON_MISSING"}


def files(result: BodyResult) -> list[tuple[bytes, bytes, bytes]]:
    return [(file.field, file.filename, file.content) for file in result.files]


def test_fields_and_files_as_browsers_send_them():
    body = (
        part(b'form-data; name="a"', b"x\r\ny")
        + part(b'form-data; name="f"; filename="C:\\dir\\b.txt"', b"- content\r\n", b"Content-Type: text/plain\r\n")
        + part(b'form-data; name="e"; filename=""', b"", b"Content-Type: application/octet-stream\r\n")
        + part(b'form-data; name="a"', b"")
        + END
    )
    result = run(body)

    assert result.args == [(b"a", b"x\r\ny"), (b"e", b""), (b"a", b"")]
    assert files(result) == [(b"f", b"C:\\dir\\b.txt", b"- content\r\n")]
    assert result.files[0].content_type == b"text/plain"
    assert result.part_headers[1:3] == [
        (b"f", b'Content-Disposition: form-data; name="f"; filename="C:\\dir\\b.txt"'),
        (b"f", b"Content-Type: text/plain"),
    ]
    assert result.multipart_names == [(name, name) for name in (b"a", b"f", b"e", b"a")]
    assert result.multipart_filenames == [(b"C:\\dir\\b.txt",) * 2, (b"", b"")]
    assert (result.error, raised(result), result.expose_body) == ("", set(), False)


def test_every_flag_has_a_value():
    assert set(run(FIELD + END).flags) == set(FLAGS)
    assert len(set(FLAGS) - {"MULTIPART_STRICT_ERROR", "MULTIPART_UNMATCHED_BOUNDARY"}) == 13
    assert set(STRICT_FLAGS) < set(FLAGS)


@pytest.mark.parametrize(
    ("body", "content_type", "flags"),
    [
        (FIELD + END, b'multipart/form-data; boundary="B"', {"BOUNDARY_QUOTED"}),
        (FIELD + END, b"multipart/form-data; boundary =B", {"BOUNDARY_WHITESPACE"}),
        (FIELD + END, b"multipart/form-data; boundary= B", {"BOUNDARY_WHITESPACE"}),
        (FIELD + END, b"multipart/form-data boundary=B", {"MISSING_SEMICOLON"}),
        (b"x\r\n" + FIELD + END, TYPE, {"DATA_BEFORE"}),
        (b"\r\n" + FIELD + END, TYPE, {"DATA_BEFORE"}),
        (FIELD + END + b"x", TYPE, {"DATA_AFTER"}),
        ((FIELD + END).replace(b"\r\n", b"\n"), TYPE, {"LF_LINE"}),
        (FIELD.replace(b'"\r\n', b'"\n') + END, TYPE, {"LF_LINE", "CRLF_LF_LINES"}),
        (part(b'form-data;\r\n name="a"') + END, TYPE, {"HEADER_FOLDING"}),
        (part(b'form-data;\r\n\x0bname="a"') + END, TYPE, {"HEADER_FOLDING", "INVALID_HEADER_FOLDING"}),
        (part(b"form-data; name='a'") + END, TYPE, {"INVALID_QUOTING"}),
        (part(b'form-data; name="a') + END, TYPE, {"INVALID_QUOTING", "INVALID_PART"}),
        (part(b"form-data") + END, TYPE, {"INVALID_PART"}),
        (part(b'attachment; name="a"') + END, TYPE, {"INVALID_PART"}),
        (part(b'form-data; name="a"; name="b"') + END, TYPE, {"INVALID_PART"}),
        (b"--B\r\nX: y\r\n\r\n1\r\n" + END, TYPE, {"INVALID_PART"}),
        (FIELD.replace(b"--B\r", b"--B \r") + END, TYPE, set()),
        (FIELD + b"--B-- \r\n", TYPE, set()),
        (FIELD + END, b"multipart/form-data; boundary=B; x=y z", set()),
    ],
)
def test_what_is_flagged_but_no_error(body: bytes, content_type: bytes, flags: set[str]):
    """Coraza finds no fault; ModSecurity's strict parser does. The part is kept."""
    result = run(body, content_type)

    assert raised(result) == flags | {"STRICT_ERROR"}
    assert result.error == ""
    assert [value for _, value in result.args][:1] == [b"1"]


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data; boundary=B; charset=utf-8",
        b"multipart/form-data; charset=utf-8; boundary=B",
        b"Multipart/Form-Data; Boundary=B",
        b"multipart/form-data;boundary=B;",
    ],
)
def test_content_types_without_fault(content_type: bytes):
    result = run(FIELD + END, content_type)

    assert (raised(result), result.args) == (set(), [(b"a", b"1")])


@pytest.mark.parametrize(
    ("content_type", "args"),
    [
        (b"", []),
        (b"application/x-www-form-urlencoded", []),
        (b"multipart/form-data", []),
        (b"multipart/form-data; boundary=", []),
        (b'multipart/form-data; boundary=""', []),
        (b"multipart/form-data; boundary=" + b"B" * 1025, []),
        (b"multipart/form-data; boundary=B; boundary=C", [(b"a", b"1")]),
        (b"multipart/form-data; boundary=B,C", [(b"a", b"1")]),
        (b"multipart/form-data; boundary=B C", [(b"a", b"1")]),
    ],
)
def test_content_types_with_an_error(content_type: bytes, args: list[tuple[bytes, bytes]]):
    result = run(FIELD + END, content_type)

    assert (raised(result), result.args) == ({"STRICT_ERROR"}, args)
    assert result.error


@pytest.mark.parametrize(
    ("body", "args"),
    [
        (b"x", []),
        (b"--C\r\n\r\n--C--\r\n", []),
        (b"--B\r\nno colon\r\n" + END, [(b"", b"no colon")]),
        (
            b"--B\r\n\x0eContent-Disposition: x\r\nContent-Disposition: form-data; name=p\r\n\r\n1\r\n" + END,
            [(b"p", b"1")],
        ),
        (FIELD + b"--B--x\r\n" + END, [(b"a", b"1\r\n--B--x")]),
        (FIELD + b"--B x\r\n" + END, [(b"a", b"1\r\n--B x")]),
        (
            b"--B\r\nContent-Disposition: form-data; name=a\r\n" + END,
            [(b"a", b"Content-Disposition: form-data; name=a")],
        ),
    ],
)
def test_errors_keep_what_is_there(body: bytes, args: list[tuple[bytes, bytes]]):
    """Where Go's parser gives up, REQBODY_ERROR is set, and nothing is dropped."""
    result = run(body)

    assert "STRICT_ERROR" in raised(result)
    assert result.error
    assert result.args == args


def test_a_missing_last_boundary_is_no_error():
    for body in (FIELD, FIELD + b"--B", FIELD + b"--B\r\n", FIELD[:-2]):
        result = run(body)

        assert (result.error, raised(result)) == ("", set())
        assert [(name, value.strip()) for name, value in result.args] == [(b"a", b"1")]


@pytest.mark.parametrize("end", range(1, len(FIELD)))
def test_a_body_that_was_cut_is_no_error(end: int):
    result = run(FIELD + (FIELD + END)[:end], truncated=True)

    assert (result.error, raised(result)) == ("", set())
    assert result.args[0][0] == b"a"


@pytest.mark.parametrize("end", range(len(FIELD), len(FIELD + END)))
def test_a_boundary_that_was_cut_resembles_none(end: int):
    """MULTIPART_UNMATCHED_BOUNDARY is what rule 200004 denies for."""
    result = run((FIELD + END)[:end], truncated=True)

    assert (result.error, raised(result)) == ("", set())
    assert [(name, value.strip()) for name, value in result.args] == [(b"a", b"1")]


def test_a_cut_body_is_still_read_strictly_before_its_end():
    for body in (FIELD + b"--C\r\n" + FIELD, FIELD + b"--B x\r\n" + FIELD, b"x\r\n" + FIELD):
        assert raised(run(body, truncated=True)), body


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (FIELD + END, b"0"),
        (FIELD + b"--B--", b"0"),
        (FIELD + b"--C\r\n" + END, b"2"),
        (FIELD + b"x--B\r\n" + END, b"2"),
        (FIELD + b"-- B\r\n" + END, b"2"),
        (FIELD + b"--C\r\n", b"1"),
        (FIELD + b"x --B", b"1"),
        (b"--C\r\n", b"1"),
    ],
)
def test_unmatched_boundaries(body: bytes, value: bytes):
    assert run(body).flags["MULTIPART_UNMATCHED_BOUNDARY"] == value


@pytest.mark.parametrize("line", [b"-- B", b"--\tB", b'--"B"', b"--BX", b"--B-"])
def test_lines_that_some_servers_take_for_a_boundary_are_a_strict_error(line: bytes):
    result = run(part(b'form-data; name="a"; filename="f"') + line + b"\r\n" + END)

    assert "STRICT_ERROR" in raised(result)


def test_a_file_in_which_a_part_may_begin_is_a_field_too():
    """PHP ends the file at ``--BX``: rules must see what follows."""
    body = (
        part(b'form-data; name="f"; filename="f"')
        + b"--BX\r\nContent-Disposition: form-data; name=evil\r\n\r\nevil\r\n"
    )
    result = run(body + END)

    assert files(result)[0][:2] == (b"f", b"f")
    assert result.args[0][1].endswith(b"evil")


def test_parts_after_the_last_boundary_are_read():
    result = run(FIELD + END + FIELD.replace(b'"a"', b'"b"') + END)

    assert result.args == [(b"a", b"1"), (b"b", b"1")]
    assert raised(result) == {"DATA_AFTER", "STRICT_ERROR"}


@pytest.mark.parametrize(
    ("disposition", "expected_files", "args"),
    [
        (b"form-data; name=f; filename*=UTF-8''a%2Ephp", [(b"f", b"a.php", b"1")], [(b"f", b"1")]),
        (b"form-data; name=f; filename*0=a; filename*1=.php", [(b"f", b"a.php", b"1")], [(b"f", b"1")]),
        (
            b"form-data; name=f; filename=a.jpg; filename*=UTF-8''a.php",
            [(b"f", b"a.jpg", b"1"), (b"f", b"a.php", b"")],
            [(b"f", b"1")],
        ),
        (b'form-data; name=f; filename="a"; filename="b"', [(b"f", b"a", b"1"), (b"f", b"b", b"")], [(b"f", b"1")]),
        (b'form-data; name=f; name=g; filename="a"', [(b"f", b"a", b"1")], [(b"f", b"1"), (b"g", b"1")]),
        (b'form-data; name=f; filename="a', [(b"f", b"a", b"1")], [(b"f", b"1")]),
        (b"form-data; name=f; filename='a'", [(b"f", b"'a'", b"1")], [(b"f", b"1")]),
        (b'form-data; filename="a"', [(b"", b"a", b"1")], [(b"", b"1")]),
    ],
)
def test_every_name_is_kept_and_a_doubtful_file_is_a_field_too(
    disposition: bytes, expected_files: list[tuple[bytes, bytes, bytes]], args: list[tuple[bytes, bytes]]
):
    result = run(part(disposition) + END)

    assert (files(result), result.args) == (expected_files, args)


def test_a_second_content_disposition_is_read_too():
    second = b'Content-Disposition: form-data; name="b"; filename="x.php"\r\n'
    result = run(part(b'form-data; name="a"', more=second) + END)

    assert (result.args, files(result)) == ([(b"a", b"1"), (b"b", b"1")], [(b"a", b"x.php", b"1")])
    assert "INVALID_PART" in raised(result)


@pytest.mark.parametrize(
    ("encoding", "content", "decoded"),
    [
        (b"base64", b"VGVzdA==", [b"Test"]),
        (b"Quoted-Printable", b"a=3Db", [b"a=b"]),
        (b"base64", b"VGVzd", []),
        (b"8bit", b"a=3Db", []),
    ],
)
def test_an_encoded_field_is_shown_both_ways(encoding: bytes, content: bytes, decoded: list[bytes]):
    header = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    result = run(part(b'form-data; name="a"', content, header) + END)

    assert [value for _, value in result.args] == [content, *decoded]


def test_limits():
    assert run(FIELD * 3 + END, arguments=2).error == "more than 2 arguments"
    assert run(FIELD * 2 + END, arguments=2, parts=2).error == ""
    assert run(FIELD * 3 + END, parts=2).error == "more than 2 parts"
    upload = part(b'form-data; name="f"; filename="f"')
    assert "FILE_LIMIT_EXCEEDED" not in raised(run(upload * 2 + END, files=2))
    result = run(upload * 3 + END, files=2)
    assert raised(result) == {"FILE_LIMIT_EXCEEDED", "STRICT_ERROR"}
    assert len(result.files) == 3
    assert run(part(b'form-data; name="a"', more=b"X: " + b"x" * 200 + b"\r\n") + END, part_headers=200).error


CONTENT = st.binary(max_size=30).filter(lambda value: b"--B" not in value and not value.endswith(b"\r"))
NAME = st.text(
    st.characters(min_codepoint=32, exclude_characters='"\\', exclude_categories=["Cs"]), min_size=1, max_size=8
)


@given(st.lists(st.tuples(NAME, st.none() | NAME, CONTENT), max_size=4))
def test_what_was_composed_is_read(parts: list[tuple[str, str | None, bytes]]):
    body = b""
    for name, filename, content in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        body += part(disposition.encode(), content)
    result = run(body + END)

    assert result.args == [(name.encode(), content) for name, filename, content in parts if not filename]
    assert files(result) == [(name.encode(), fn.encode(), content) for name, fn, content in parts if fn]
    assert (raised(result) - {"UNMATCHED_BOUNDARY"}, result.error) == (set(), "")


PIECES = [
    b"--B",
    b"--",
    b"\r\n",
    b"\n",
    b"\r",
    b"Content-Disposition: form-data",
    b"; name=a",
    b'"',
    b"'",
    b";",
    b"needle",
]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_nothing_in_a_part_is_lost(noise: bytes):
    result = run(FIELD + b"--B\r\n" + noise + b" needle ")
    seen = b"".join(b"".join(entry) for entry in result.args + result.part_headers)
    seen += b"".join(file.filename + file.content for file in result.files)

    assert b"needle" in seen or "STRICT_ERROR" in raised(result)


def ask_libmodsecurity(content_type: str, body: bytes) -> set[str]:
    """The flags that libmodsecurity sets."""
    modsecurity = pytest.importorskip("libmodsecurity")
    names = [name for name in FLAGS if name != "MULTIPART_MISSING_SEMICOLON"]
    if not _ENGINE:
        macros = "|".join(f"%{{{name}}}" for name in names)
        rules = modsecurity.RulesSet()
        rules.load(
            "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\n"
            f"SecRule REQUEST_METHOD @unconditionalMatch \"id:1,phase:2,log,pass,msg:'{macros}'\"\n"
        )
        _ENGINE.extend((modsecurity.ModSecurity(), rules))
    transaction = modsecurity.Transaction(*_ENGINE)
    transaction.process_connection("127.0.0.1", 1, "127.0.0.1", 80)
    transaction.process_uri("/", "POST", "1.1")
    transaction.add_request_header("Content-Type", content_type)
    transaction.process_request_headers()
    transaction.append_request_body(body)
    transaction.process_request_body()
    values = transaction.get_rule_messages()[0].message.split("|")
    return {name for name, value in zip(names, values, strict=True) if value not in ("0", "")}


_ENGINE: list[Any] = []


@given(
    quoted=st.booleans(),
    semicolon=st.booleans(),
    whitespace=st.booleans(),
    before=st.sampled_from([b"", b"x\r\n", b"\r\n"]),
    after=st.sampled_from([b"", b"x", b"\r\n"]),
    lines=st.sampled_from([b"\r\n", b"\n"]),
    disposition=st.sampled_from(
        [b'form-data; name="a"', b"form-data; name='a'", b'form-data;\r\n name="a"', b'form-data;\r\n\x0bname="a"']
    ),
)
def test_libmodsecurity_sets_the_same_flags(  # noqa: PLR0917  a combination of faults, each a parameter
    quoted: bool, semicolon: bool, whitespace: bool, before: bytes, after: bytes, lines: bytes, disposition: bytes
):
    content_type = "multipart/form-data{} boundary{}={}".format(
        ";" if semicolon else "", " " if whitespace else "", '"B"' if quoted else "B"
    )
    body = (before + part(disposition) + END).replace(b"\r\n", lines) + after

    ours = process_multipart(body, BodyContext(content_type=content_type.encode())).flags
    expected = ask_libmodsecurity(content_type, body) - {"MULTIPART_UNMATCHED_BOUNDARY"}
    ignored = {"MULTIPART_UNMATCHED_BOUNDARY", "MULTIPART_MISSING_SEMICOLON"}
    assert {name for name, value in ours.items() if value != b"0"} - ignored == expected


# The bodies of python-multipart: 30, each with what is expected of it.

ANOTHER_BOUNDARY = {"single_field_blocks"}  # its lines have two hyphens where its boundary asks for four
ENCODED = {"base64_encoding", "mixed_case_headers", "mixed_plain_and_base64_encoding", "quoted_printable_encoding"}
LAX = {"bad_initial_boundary", "CR_in_header_value"}  # flagged, but no error: Go reads them


def _decode_any(content: bytes) -> bytes:
    return quopri.decodestring(content) if b"=3D" in content else base64.b64decode(content)


@pytest.mark.corpora
def test_python_multipart(corpora: Path):
    folder = corpora / "corpora/python-multipart/test_data/http"
    accepted, refused, flagged = [], [], []
    for path in sorted(folder.glob("*.yaml")):
        case = yaml.safe_load(path.read_text("utf-8"))
        content_type = b"multipart/form-data; boundary=" + case["boundary"].encode()
        result = run(path.with_suffix(".http").read_bytes(), content_type)
        if path.stem in ANOTHER_BOUNDARY or "error" in case["expected"]:
            assert "STRICT_ERROR" in raised(result), path.stem
            assert bool(result.error) != (path.stem in LAX), path.stem
            (flagged if path.stem in LAX else refused).append(path.stem)
            continue
        assert result.error == "", path.stem
        accepted.append(path.stem)
        if path.stem in ENCODED:  # python-multipart decodes; a field's value is shown both ways, a file as it is
            found = {value for _, value in result.args} | {_decode_any(file.content) for file in result.files}
            assert {kind["data"] for kind in case["expected"]} <= found, path.stem
            continue
        expected = {(kind["name"].encode(), kind["type"], kind["data"]) for kind in case["expected"]}
        found = {(name, "field", value) for name, value in result.args}
        found |= {(file.field, "file", file.content) for file in result.files}
        doubtful = {(name, "field", data) for name, _, data in expected}  # lines like a boundary: a field as well
        assert expected <= found <= expected | doubtful, path.stem
        names = [kind["file_name"].encode() for kind in case["expected"] if kind["type"] == "file"]
        assert [file.filename for file in result.files] == names, path.stem

    assert (len(accepted), len(refused), len(flagged)) == (21, 7, 2)


# CRS's tests of the rules for part headers, by the patterns of those rules.

RULES = {
    922120: re.compile(rb"content-transfer-encoding:(.*)"),
    922130: re.compile(rb"[^\x21-\x7e][\x21-\x39\x3b-\x7e]*:"),
}


def _body_of(stage: dict[str, Any]) -> tuple[bytes, bytes]:
    if encoded := stage.get("encoded_request"):
        head, _, body = base64.b64decode(encoded).partition(b"\r\n\r\n")
        return re.search(rb"(?i)content-type: (.*?)\r\n", head + b"\r\n")[1], body  # type: ignore[index]  # it is there
    return stage["headers"]["Content-Type"].encode(), stage["data"].replace("\n", "\r\n").encode()


@pytest.mark.corpora
def test_the_part_headers_that_crs_looks_for_are_shown(corpora: Path):
    ran = 0
    for rule, pattern in RULES.items():
        path = corpora / f"corpora/crs-regression/REQUEST-922-MULTIPART-ATTACK/{rule}.yaml"
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            stage = test["stages"][0]
            content_type, body = _body_of(stage["input"])
            lines = [line.lower() for _, line in run(body, content_type).part_headers]
            wanted = "expect_ids" in stage["output"]["log"] or "match_regex" in stage["output"]["log"]
            assert any(pattern.search(line) for line in lines) == wanted, (rule, test["test_id"])
            ran += 1

    assert ran == 10


@pytest.mark.corpora
def test_charset_definitions_are_fields_with_their_own_part_headers(corpora: Path):
    path = corpora / "corpora/crs-regression/REQUEST-922-MULTIPART-ATTACK/922100.yaml"
    values = []
    for test in yaml.safe_load(path.read_text("utf-8"))["tests"]:
        content_type, body = _body_of(test["stages"][0]["input"])
        result = run(body, content_type)
        assert b"_charset_" in [name for name, _ in result.part_headers]
        values.append(dict(result.args)[b"_charset_"])

    assert values == [b"utf-7", b"utf-8", b"utf-"]


@pytest.mark.slow
@pytest.mark.corpora
def test_multipart_bodies_of_crs(corpora: Path):
    """Of CRS's regular bodies none has an error; 922130-8, without headers, has."""
    errors, ran = [], 0
    for path in sorted((corpora / "corpora/crs-regression").glob("*/*.yaml")):
        document = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for test in (document or {}).get("tests", ()):
            for stage in test["stages"]:
                headers = {k.lower(): str(v) for k, v in (stage["input"].get("headers") or {}).items()}
                data = stage["input"].get("data")
                if not data or not headers.get("content-type", "").startswith("multipart/form-data;"):
                    continue
                result = run(str(data).replace("\n", "\r\n").encode(), headers["content-type"].encode())
                ran += 1
                if result.error:
                    errors.append(f"{document['rule_id']}-{test['test_id']}")

    assert ran >= 100
    assert errors == ["922130-8"]


@pytest.mark.corpora
@pytest.mark.parametrize(("name", "error"), [("multipart.yaml", False), ("multipart_error.yaml", True)])
def test_profiles_of_coraza(corpora: Path, name: str, error: bool):
    profiles = yaml.safe_load((corpora / "corpora/coraza-profiles/profiles.json").read_text("utf-8"))
    profile = next(each for each in profiles if each["Meta"]["Name"] == name)
    for test in profile["Tests"]:
        for stage in test["Stages"]:
            request = stage["Stage"]["Input"]
            result = run(request["Data"].encode(), request["Headers"]["Content-Type"].encode())
            assert bool(result.error) == error
            assert ("STRICT_ERROR" in raised(result)) or not error
            if not error:
                assert result.args[0][0] == b"_msg_body"
                assert result.args[0][1].startswith(b"Hi Martin,")
                assert result.part_headers[0][0] == b"_msg_body"


def test_a_file_named_in_the_extended_form_only_is_a_field_too_and_no_fault():
    """PHP does not know ``filename*`` and takes the part for a field; others take it for a file (RFC 6266)."""
    result = run(part(b"form-data; name=f; filename*=UTF-8''a.php") + END)

    assert (result.args, raised(result), result.error) == ([(b"f", b"1")], set(), "")

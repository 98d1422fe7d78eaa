"""What holds for every body processor: it is listed, never raises, and its cost grows with the body, not faster."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import waf_engine.bodies
from waf_engine.bodies import FAMILIES, HELPERS, body_processors
from waf_engine.bodies.cookies import parse_cookies
from waf_engine.bodies.uri import split_uri
from waf_engine.bodies.xml import attribute_values, text_values
from waf_engine.types import BodyContext, BodyResult

MULTIPART = b"multipart/form-data; boundary=B"


def test_every_file_is_a_family_or_a_helper():
    folder = Path(waf_engine.bodies.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}

    assert files == {family.__name__.rpartition(".")[2] for family in FAMILIES} | set(HELPERS)


def test_every_family_registers_a_processor():
    assert {"JSON", "MULTIPART", "RAW", "URLENCODED", "XML"} == set(body_processors.names())
    homes = {processor.__module__ for name in body_processors.names() if (processor := body_processors.get(name))}
    assert homes == {family.__name__ for family in FAMILIES}


def process(name: str, body: bytes, context: BodyContext) -> BodyResult:
    """Run a processor, and what the XML variable would ask of its result."""
    processor = body_processors.get(name)
    assert processor is not None
    result = processor(body, context)
    if result.xml is not None:
        text_values(result.xml)
        attribute_values(result.xml)
    return result


CONTEXTS = st.builds(
    BodyContext,
    content_type=st.binary(max_size=60) | st.just(MULTIPART),
    truncated=st.booleans(),
    json_keys=st.sampled_from(["coraza", "modsecurity", "unknown"]),
    separator=st.binary(max_size=2),
)


@pytest.mark.parametrize("name", body_processors.names())
@given(body=st.binary(), context=CONTEXTS)
def test_no_bytes_make_a_processor_raise(name: str, body: bytes, context: BodyContext):
    result = process(name, body, context)

    assert all(isinstance(key, bytes) and isinstance(value, bytes) for key, value in result.args)
    assert result.error.isprintable()


PART = b'--B\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n'
FILLINGS = {
    "URLENCODED": [b"%", b"%41", b"%zz", b"&", b"=", b"+", b"a&", b"a=b&"],
    "MULTIPART": [
        b"--B\r\n",
        b"\n--BX",
        b"\n--",
        b"--B",
        b"\n",
        PART + b"\r\n1\r\n",
        b"--B\r\n" + b"a:\n" * 90 + b"\n",
        b"--B\r\na:b\n" + b" \n" * 95 + b"\n",
        b"--B\r\n" + b"x" * 17_000 + b"\n",
        b"--B\r\nContent-Disposition: form-data" + b";a" * 8000 + b"\n\n",
        b"--B\r\nContent-Disposition: form-data" + b';"' * 8000 + b"\n\n",
        b'--B\r\nContent-Disposition: form-data;a="' + b"\\" * 16_000 + b"\n\n",
        b"--B\r\n" + b"Content-Disposition: form-data;name*0=a\n" * 90 + b"\n",
    ],
    "JSON": [
        b"[",
        b"[],",
        b'{"":',
        b"1,",
        b'"',
        b"\\",
        b'"\\',
        b'"\\u0041',
        b"a ",
        b" ",
        b"1",
        b"-",
        b",",
        b'"abcdefghijk":{',
        b'{"abcdefgh":[1],',
    ],
    "XML": [
        b"<a>",
        b"<a/>",
        b"<a b='c' d='e'>f</a>",
        b"<",
        b"&",
        b"&#60;",
        b"&#9",
        b'"<a "x>',
        b"<!--",
        b"<![CDATA[",
        b"<!DOCTYPE a [",
        b"<a xmlns:p='q'/>",
        b"<a =",
        b"<?",
        b"<a ' ",
        b"<!DOCTYPE a [<!--'",
    ],
    "RAW": [b"x"],
}
STARTS = {
    "URLENCODED": [b""],
    "MULTIPART": [b"", PART + b"\r\n"],
    "JSON": [b"", b"[", b'{"', b'"', b'{"' + b"k" * 40_000 + b'":['],
    "XML": [b"", b"<r>", b"<a ", b"<a b='", b"<!DOCTYPE a [", b"<!DOCTYPE a [<!ENTITY x '"],
    "RAW": [b""],
}
CASES = [(name, start, filling) for name in FILLINGS for start in STARTS[name] for filling in FILLINGS[name]]


def filled(start: bytes, filling: bytes, size: int) -> bytes:
    return (start + filling * (size // len(filling) + 1))[:size]


def cost(name: str, body: bytes) -> float:
    """Seconds of CPU."""
    start = time.process_time()
    process(name, body, BodyContext(content_type=MULTIPART))
    return time.process_time() - start


def test_every_processor_has_hostile_fillings():
    assert set(FILLINGS) == set(STARTS) == set(body_processors.names())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "start", "filling"), CASES)
def test_the_cost_is_linear(name: str, start: bytes, filling: bytes):
    """Ten times the body costs at most twenty times as much, and a megabyte less than two seconds."""
    small, large = filled(start, filling, 100_000), filled(start, filling, 1_000_000)
    for _ in range(3):  # a disturbed measurement is repeated
        less, more = cost(name, small), cost(name, large)
        if more < 20 * less + 0.02 and more < 2:
            return
    pytest.fail(f"100 kB cost {less:.4f} s, 1 MB {more:.4f} s")


@pytest.mark.slow
@pytest.mark.parametrize("filling", [b";", b"=", b"a;", b" ", b"/", b"%41", b"%", b"?", b"#", b"http://", b"\\"])
def test_cookies_and_targets_cost_little(filling: bytes):
    value = filled(b"", filling, 1_000_000)
    start = time.process_time()
    parse_cookies(value)
    split_uri(value)

    assert time.process_time() - start < 2

"""libinjection: where it is looked for, what it says, and that it is safe to call on anything from anywhere."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waf_engine.libinjection import SYSTEM_LIBRARIES, LibinjectionNotFoundError, candidates, load

if TYPE_CHECKING:
    from pathlib import Path

SQLI = {
    b"1' OR '1'='1": b"s&sos",
    b"1 UNION SELECT 1,2--": b"1UE1c",
    b"-1' and 1=1 union/* foo */select load_file('/etc/passwd')--": b"s&1UE",
    b"ascii(substring(version() from 1 for 1))": b"f(f(f",
}
NO_SQLI = [b"", b"1", b"O'Reilly", b"select a drink from the menu", b"\0", b"this is not isqli", b"2 + 2 = 4"]
XSS = [
    b"<script>alert(1)</script>",
    b'<a href="javascript:alert(1)">)',
    b"x' onload='alert(1)",
    b"<svg/onload=a>",
    b"\0<script>",
]
NO_XSS = [b"", b"1 < 2", b"<b>bold</b>", b"a & b", b"\0", b"this is not an XSS"]


def test_injections_have_their_fingerprint():
    assert {value: load().sqli(value) for value in SQLI} == SQLI
    assert [load().sqli(value) for value in NO_SQLI] == [None] * len(NO_SQLI)


def test_scripts_are_found():
    assert [value for value in XSS if not load().xss(value)] == []
    assert [value for value in NO_XSS if load().xss(value)] == []


def test_a_nul_ends_nothing():
    """The length counts, not the first NUL, as C texts would have it."""
    assert load().xss(b"a\0b<script>alert(1)</script>")
    assert load().sqli(b"1' OR '1'='1\0") is not None


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_anything_may_be_asked(value: bytes):
    fingerprint = load().sqli(value)

    assert fingerprint is None or 0 < len(fingerprint) <= 5
    assert isinstance(load().xss(value), bool)


def test_threads_do_not_see_each_other_s_fingerprints():
    values = list(SQLI) * 200
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(load().sqli, values))

    assert found == [SQLI[value] for value in values]


@pytest.mark.parametrize(
    "seed", [b"'", b'"', b"<", b"<a ", b"/*", b"--", b"1,", b"(", b"&#", b"\\", b"`", b"<!--", b"\0", b"@"]
)
def test_the_cost_of_100_kb_is_bounded(seed: bytes):
    value = seed * (100_000 // len(seed))
    start = time.process_time()
    load().sqli(value)
    load().xss(value)

    assert time.process_time() - start < 0.1


def test_the_library_is_loaded_once():
    assert load() is load()


def test_a_path_of_the_settings_is_the_only_candidate():
    assert list(candidates("/opt/libinjection.so")) == ["/opt/libinjection.so"]
    assert list(candidates())[-len(SYSTEM_LIBRARIES) :] == list(SYSTEM_LIBRARIES)


def test_a_path_of_the_settings_is_used():
    assert load(load().path).sqli(b"1' OR '1'='1") == b"s&sos"


def test_what_is_no_library_is_told(tmp_path: Path):
    text = tmp_path / "text.so"
    text.write_text("no library")
    with pytest.raises(LibinjectionNotFoundError, match=r"text\.so") as failed:
        load(str(text))
    assert "apt-get install libmodsecurity3" in failed.value.hint

    with pytest.raises(LibinjectionNotFoundError, match="exports no libinjection_sqli"):
        load("libc.so.6" if sys.platform == "linux" else "/usr/lib/libSystem.B.dylib")


def test_it_is_found_from_any_directory_without_the_python_module(tmp_path: Path):
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from waf_engine.libinjection import load\n"
        "print(load().xss(b'<script>'), 'libmodsecurity' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *sys.path], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("True False\n", "")

"""The block page: values are put in, escaped; files that cannot be used are refused with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.block_page import (
    MACROS,
    MAX_FILLED,
    MAX_PAGE,
    BlockPageError,
    loaded_block_page,
    parse_block_page,
    read_block_page,
)

if TYPE_CHECKING:
    from pathlib import Path

VALUES = dict.fromkeys(MACROS, "-")


def test_values_are_put_in_escaped() -> None:
    page = parse_block_page("<p>%{UNIQUE_ID} %{RULE_ID}/%{RULE_ID} 100% %{</p>")

    assert page.fill(VALUES | {"UNIQUE_ID": "<b>'\"&", "RULE_ID": "949110"}) == (
        "<p>&lt;b&gt;&#x27;&quot;&amp; 949110/949110 100% %{</p>"
    )


def test_a_page_without_macros_is_as_it_is() -> None:
    assert parse_block_page("sorry").fill(VALUES) == "sorry"


def test_line_breaks_are_blanks_for_haproxy_would_show_them(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(b"\xef\xbb\xbf<html>\r\n\t<p>%{RULE_ID}\x0b\x7f</p>\n</html>\n")

    assert read_block_page(file).fill(VALUES | {"RULE_ID": "7"}) == "<html>  \t<p>7  </p> </html>"


@given(st.text(max_size=50))
def test_no_value_makes_markup(value: str) -> None:
    filled = parse_block_page("<i>%{UNIQUE_ID}</i>").fill(VALUES | {"UNIQUE_ID": value})

    assert not set("<>\"'") & set(filled.removeprefix("<i>").removesuffix("</i>"))


def test_a_page_that_becomes_too_long_is_left_out() -> None:
    page = parse_block_page("%{UNIQUE_ID}" * 100)

    assert page.fill(VALUES | {"UNIQUE_ID": "x" * 120})
    assert page.fill(VALUES | {"UNIQUE_ID": "&" * 120}) == ""
    assert len(page.fill(VALUES | {"UNIQUE_ID": "x" * 120})) <= MAX_FILLED


def test_an_unknown_macro_is_refused() -> None:
    with pytest.raises(BlockPageError, match=r"%{TX\.score} is none of %{UNIQUE_ID}"):
        parse_block_page("%{TX.score}")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"x" * (MAX_PAGE + 1), "longer than 8192 bytes"),
        (b"\xff", "not UTF-8"),
        (b"a\0b", "NUL"),
        (b"%{X}", "%{X} is none of"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes, text: str) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(content)

    with pytest.raises(BlockPageError, match=text) as caught:
        read_block_page(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BlockPageError, match="no such file"):
        read_block_page(tmp_path / "none")
    with pytest.raises(BlockPageError, match="is a directory"):
        read_block_page(tmp_path)


def test_the_largest_file(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_bytes("é".encode() * (MAX_PAGE // 2))

    assert read_block_page(str(file)).fill(VALUES) == "é" * (MAX_PAGE // 2)


def test_a_page_stays_as_it_was_read_until_it_is_read_again(tmp_path: Path) -> None:
    """A worker that takes a dead one's place shows the page of its siblings, also when the file is gone."""
    file = tmp_path / "page.html"
    file.write_text("one")
    assert loaded_block_page(str(file)).fill(VALUES) == "one"
    file.write_text("two")
    assert loaded_block_page(str(file)).fill(VALUES) == "one"
    read_block_page(file)
    file.unlink()

    assert loaded_block_page(str(file)).fill(VALUES) == "two"
    with pytest.raises(BlockPageError):
        loaded_block_page(str(tmp_path / "none"))

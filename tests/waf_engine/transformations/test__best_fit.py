"""Rules: the table is that of code page 20127; entries are spot-checked against Microsoft's and Unicode's names."""

from __future__ import annotations

import unicodedata

from waf_engine.transformations._best_fit import BEST_FIT


def fit(char: str) -> bytes | None:
    return BEST_FIT.get(char.encode("utf-16-be"))


def test_the_number_of_entries():
    assert len(BEST_FIT) == 371


def test_full_width_forms_are_all_there():
    assert [fit(chr(0xFEE0 + code)) for code in range(0x21, 0x7F)] == [bytes((code,)) for code in range(0x21, 0x7F)]


def test_quotes_dashes_and_angles():
    assert [fit(char) for char in "\u2018\u2019\u201a\u201c\u201d\u201e\u2013\u2014\u2039\u203a\u00ab\u00bb\u2032"] == [
        char.encode() for char in "'',\"\"\"--<><>'"
    ]


def test_letters_with_marks_lose_them():
    letters = [chr(int.from_bytes(key, "big")) for key in BEST_FIT if key < b"\x02\x00"]
    marked = [char for char in letters if unicodedata.decomposition(char) and unicodedata.category(char)[0] == "L"]

    assert len(marked) > 150
    assert [fit(char) for char in marked] == [unicodedata.normalize("NFKD", char)[0].encode() for char in marked]


def test_other_letters_have_no_entry():
    assert [fit(char) for char in "\u0430\u0435\u043eπ漢ß£§"] == [None] * 8

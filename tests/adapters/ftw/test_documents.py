"""Reading YAML nodes and their values: positions, bounds, and faults instead of exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters.ftw import documents
from adapters.ftw.documents import items, number, numbers, optional_boolean, read_document

if TYPE_CHECKING:
    from pathlib import Path


def _read(tmp_path: Path, content: str | bytes):
    file = tmp_path / "a.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_document(file)


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"a: 1\nb: \xff", "not-utf-8", 2),
        (b"a: [1", "yaml", 1),
        (b"a: 1\n\tb: 2\n", "yaml", 2),
        (b"a: \x07", "yaml", 1),
        (b"a: *nowhere", "yaml", 1),
        (b"a: 1\n---\nb: 2\n", "yaml", 2),
        (b"[" * 5000, "yaml", 1),
    ],
)
def test_what_is_no_yaml_is_one_fault_with_a_place(tmp_path: Path, content: bytes, code: str, line: int):
    top, faults = _read(tmp_path, content)

    assert top.node is None
    assert [(fault.code, fault.span.line) for fault in faults.found] == [(code, line)]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path):
    _, faults = read_document(tmp_path / "absent.yaml")

    assert [fault.code for fault in faults.found] == ["unreadable-file"]
    assert "no such file" in faults.found[0].message


def test_a_file_beyond_the_bound_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(documents, "MAX_BYTES", 10)
    _, faults = _read(tmp_path, "a: 12345678")

    assert [fault.code for fault in faults.found] == ["too-large"]


def test_an_empty_file_has_neither_node_nor_fault(tmp_path: Path):
    top, faults = _read(tmp_path, "# nothing but a comment\n")

    assert top.node is None
    assert faults.found == []


def test_numbers_and_their_bounds(tmp_path: Path):
    top, faults = _read(tmp_path, "a: 7\nb: [1, x, -2, 99999, [3]]\nc: many\nd: {x: 1}\n")

    assert number(top, "a", 0) == 7
    assert number(top, "absent", 5) == 5
    assert numbers(top, "a") == (7,)
    assert numbers(top, "b", highest=1000) == (1,)
    assert number(top, "c", 3) == 3
    assert number(top, "d", 3) == 3
    assert [str(fault.span).rsplit("/", 1)[1] for fault in faults.found] == [
        "a.yaml:2:8", "a.yaml:2:11", "a.yaml:2:15", "a.yaml:2:22", "a.yaml:3:4", "a.yaml:4:4",
    ]  # fmt: skip
    assert faults.found[2].message == "b must be a whole number from 0 to 1000, got '99999'"


def test_items_keep_their_order_and_an_absent_text_is_empty(tmp_path: Path):
    top, faults = _read(tmp_path, "h: {Z: 1, A: , Z: yes}\nbad: [1]\nworse: {x: [1]}\n")

    assert [(name, value) for name, value, _ in items(top, "h")] == [("Z", "1"), ("A", ""), ("Z", "yes")]
    assert items(top, "absent") == []
    assert items(top, "bad") == []
    assert items(top, "worse") == []
    assert [fault.span.line for fault in faults.found] == [2, 3]


def test_a_boolean_that_may_be_absent(tmp_path: Path):
    top, _ = _read(tmp_path, "a: true\nb: off\n")

    assert (optional_boolean(top, "a"), optional_boolean(top, "b"), optional_boolean(top, "c")) == (True, False, None)

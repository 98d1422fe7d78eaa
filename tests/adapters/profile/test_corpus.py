"""The requests of a profile: files, tests, samples, and what is none of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters.profile import corpus
from adapters.profile.corpus import CorpusError, load_corpus, samples

if TYPE_CHECKING:
    from pathlib import Path

RAW = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
TESTS = """
meta: {author: we}
rule_id: 1
tests:
  - test_id: 1
    stages:
      - input: {uri: /from-test, headers: {Host: x}}
        output: {status: 200}
"""


def test_samples_are_whole_requests():
    found, refused = load_corpus([])

    assert refused == 0
    assert [sample.name for sample in found] == list(samples())
    assert {sample.request.method for sample in found} == {b"GET", b"POST"}
    lengths = [dict(sample.request.headers).get(b"Content-Length") for sample in found]
    assert [int(length) for length in lengths if length] == [len(s.request.body) for s in found if s.request.body]


def test_a_folder_may_hold_requests_and_tests(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.http").write_bytes(RAW % b"b")
    (tmp_path / "deep" / "a").write_bytes(RAW.replace(b"\r\n", b"\n") % b"a")
    (tmp_path / ".hidden").write_bytes(RAW % b"hidden")
    (tmp_path / "bad").write_bytes(b"no request at all")
    (tmp_path / "tests.yaml").write_text(TESTS)
    found, refused = load_corpus([tmp_path])

    assert [sample.request.target for sample in found] == [b"/from-test", b"/b", b"/a"]
    assert refused == 1
    assert load_corpus([tmp_path / "tests.yaml"])[0][0].name == "1-1"


def test_what_cannot_be_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(CorpusError, match=r"there is no .*nowhere"):
        load_corpus([tmp_path / "nowhere"])
    with pytest.raises(CorpusError, match=r"no request that can be run in .*: 0 were read"):
        load_corpus([tmp_path])
    (tmp_path / "x.yaml").write_text("tests: [{test_id: 1, stages: 7}]\nrule_id: 1")
    with pytest.raises(CorpusError, match="stages"):
        load_corpus([tmp_path])
    (tmp_path / "large").write_bytes(RAW % b"large")
    monkeypatch.setattr(corpus, "MAX_BYTES", 10)
    with pytest.raises(CorpusError, match="more than 10 bytes"):
        load_corpus([tmp_path / "large"])


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "x"
    path.write_bytes(b"")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(CorpusError, match="cannot be read: permission denied"):
        load_corpus([path])

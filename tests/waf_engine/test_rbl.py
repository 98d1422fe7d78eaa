"""The memory for answers of block lists, with a clock in the test's hand."""

from __future__ import annotations

from waf_engine.rbl import RblCache


class Setting:
    """A memory, its clock, and the names it asked for."""

    def __init__(self, **limits: int) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.cache = RblCache(self.asked.append, lambda: self.now, lifetime=10.0, **limits)


def test_a_name_is_asked_for_once_and_then_known():
    setting = Setting()

    assert setting.cache("a") is None
    assert setting.cache("a") is None
    assert setting.asked == ["a"]
    setting.cache.put("a", "127.0.0.2")
    assert setting.cache("a") == "127.0.0.2"
    setting.cache.put("b", "")
    assert setting.cache("b") == ""
    assert setting.asked == ["a"]


def test_an_answer_is_forgotten_after_its_lifetime():
    setting = Setting()
    setting.cache.put("a", "127.0.0.2")
    setting.now = 9.9

    assert setting.cache("a") == "127.0.0.2"
    setting.now = 10.0
    assert setting.cache("a") is None
    assert setting.asked == ["a"]


def test_a_name_that_is_never_answered_is_asked_for_again():
    setting = Setting()
    setting.cache("a")
    setting.now = 10.1
    setting.cache("a")

    assert setting.asked == ["a", "a"]


def test_answers_and_questions_are_bounded():
    setting = Setting(names=2, pending=3)
    for name in "abc":
        setting.cache.put(name, name)

    assert [setting.cache(name) for name in "bc"] == ["b", "c"]
    for name in "defgh":
        setting.cache(name)
    assert setting.asked == ["d", "e", "f"]
    setting.cache.put("d", "")
    setting.cache("g")
    assert setting.asked == ["d", "e", "f", "g"]

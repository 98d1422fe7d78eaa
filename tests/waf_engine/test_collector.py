"""The collector rests while rules are read, and rule sets are set aside, but not for ever."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from waf_engine import WAF
from waf_engine.collector import LARGE, collector_rests, set_aside

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = "".join(f'SecAction "id:{number},phase:1,pass"\n' for number in range(1, LARGE + 1))


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    gc.unfreeze()
    assert gc.isenabled()


def test_it_rests_until_the_outermost_is_done():
    with collector_rests():
        with collector_rests():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_stays_off_where_it_was_off():
    gc.disable()
    try:
        with collector_rests():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_is_on_again_after_a_fault():
    with pytest.raises(ZeroDivisionError), collector_rests():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_a_large_rule_set_is_set_aside_and_a_small_one_is_not():
    gc.unfreeze()
    WAF.from_directives(MANY.splitlines()[0], executor="reference")
    assert gc.get_freeze_count() == 0
    WAF.from_directives(MANY, executor="reference")
    assert gc.get_freeze_count() > LARGE


def test_the_rule_set_before_is_let_go_when_the_next_is_set_aside():
    before = WAF.from_directives(MANY, executor="reference")
    gone = weakref.ref(before)
    before.__dict__["itself"] = before  # a cycle, as caches make them
    del before
    assert gone() is not None
    set_aside(LARGE)
    assert gone() is None

from __future__ import annotations

import inspect

import pytest

from adapters.metrics.observer import Observer
from adapters.metrics.recorder import Recorder

METHODS = sorted(name for name, _ in inspect.getmembers(Observer, inspect.isfunction) if not name.startswith("_"))


@pytest.mark.parametrize("name", METHODS)
def test_the_recorder_takes_what_the_observer_takes(name: str):
    ours, theirs = inspect.signature(getattr(Observer, name)), inspect.signature(getattr(Recorder, name))

    assert ours == theirs
    assert name in vars(Recorder)


def test_it_does_nothing():
    assert Observer().timer("shop") is None
    assert len(METHODS) > 15

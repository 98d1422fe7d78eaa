"""The limits: each has a default, a unit and a reason."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from spop_proto import Limits


@pytest.mark.parametrize("limit", fields(Limits), ids=lambda limit: limit.name)
def test_each_has_a_unit_and_a_reason(limit: Any):
    assert limit.metadata["unit"]
    assert len(limit.metadata["reason"]) > 20


def test_defaults_are_those_of_the_specification():
    limits = Limits()

    assert (limits.frame_size, limits.hello_size, limits.in_flight) == (1 << 20, 4096, 64)
    assert (limits.messages, limits.arguments, limits.actions, limits.items) == (64, 1024, 1024, 64)
    assert (limits.fragment_bytes, limits.fragments, limits.fragment_timeout) == (1 << 20, 4096, 30.0)
    assert (limits.hello_timeout, limits.frame_timeout, limits.idle_timeout) == (5.0, 10.0, None)


@pytest.mark.parametrize(
    "wrong", [{"frame_size": 255}, {"messages": 0}, {"in_flight": -1}, {"idle_timeout": 0.0}, {"refusal_delay": -1.0}]
)
def test_nonsense_is_refused(wrong: Any):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


def test_no_delay_and_the_smallest_frame_are_allowed():
    assert Limits(refusal_delay=0, frame_size=256).frame_size == 256


def test_they_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Limits().messages = 1


def test_memory_is_what_the_specification_computes():
    assert Limits().memory_per_connection() == 16384 * 65 + (1 << 20)
    assert Limits(frame_size=1024).memory_per_connection() == 1028 * 65 + (1 << 20)

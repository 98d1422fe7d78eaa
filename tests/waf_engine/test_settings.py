"""Settings: defaults that are Coraza's, each described, none of them to be written to."""

from __future__ import annotations

import dataclasses

import pytest

from waf_engine import Settings
from waf_engine.settings import EngineMode, LimitAction

DOCUMENTED = (Settings.__doc__ or "").split("Attributes:")[1]
NAMES = [field.name for field in dataclasses.fields(Settings)]


def test_they_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().json_depth_limit = 5  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize("name", NAMES)
def test_each_is_described(name: str):
    assert f"        {name}: " in DOCUMENTED


def test_each_has_a_default():
    assert all(field.default is not dataclasses.MISSING for field in dataclasses.fields(Settings))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rule_engine", EngineMode.ON),
        ("request_body_access", False),
        ("request_body_limit", 128 * 1024 * 1024),
        ("request_body_limit_action", LimitAction.REJECT),
        ("response_body_access", False),
        ("response_body_limit", 512 * 1024),
        ("response_body_limit_action", LimitAction.PROCESS_PARTIAL),
        ("json_depth_limit", 1024),
        ("arguments_limit", 1000),
        ("web_app_id", "default"),
        ("json_keys", "coraza"),
    ],
)
def test_defaults_that_are_corazas(name: str, value: object):
    assert getattr(Settings(), name) == value


def test_programs_are_started_and_names_looked_up_only_when_asked_for():
    assert (Settings().allow_inspect_file, Settings().rbl_resolver, Settings().geo_database) == (False, None, "")


@pytest.mark.parametrize(
    ("kind", "words"),
    [(EngineMode, ["On", "Off", "DetectionOnly"]), (LimitAction, ["Reject", "ProcessPartial"])],
)
def test_words_are_those_of_the_manual(kind: type[EngineMode | LimitAction], words: list[str]):
    assert [str(word) for word in kind] == words

"""docs/spop-reference.md says what the docstrings say."""

from __future__ import annotations

import pytest

import spop_proto
from tests.spop_proto import reference_page


def test_the_page_is_not_stale() -> None:
    command = "python tests/spop_proto/reference_page.py > docs/spop-reference.md"

    assert reference_page.PAGE.read_text() == reference_page.render(), f"run: {command}"


@pytest.mark.parametrize("name", spop_proto.__all__)
def test_each_public_name_is_explained(name: str) -> None:
    _, _, after = reference_page.render().partition(f"\n### {name}\n")
    explanation = after.partition("\n#")[0]
    without_code = "".join(explanation.split("```")[::2])

    assert len(without_code.split()) >= 3, explanation

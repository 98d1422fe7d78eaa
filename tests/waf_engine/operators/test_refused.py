"""Operators that are known and refused, with the reason."""

from __future__ import annotations

import pytest

from waf_engine import WAF, SecLangError
from waf_engine.operators.refused import REFUSED


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("argument", ["", " x"])
def test_the_reason_is_given(name: str, argument: str):
    with pytest.raises(SecLangError) as caught:
        WAF.from_directives(f'SecRule ARGS "@{name}{argument}" "id:1,phase:2"')
    (fault,) = caught.value.errors

    reason, hint = REFUSED[name]
    assert (fault.code, fault.message, fault.hint) == ("refused-operator", f"@{name} is refused: {reason}", hint)

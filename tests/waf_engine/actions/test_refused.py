"""Actions that are known and refused, with the reason."""

from __future__ import annotations

import pytest

from waf_engine import WAF, SecLangError
from waf_engine.actions.refused import REFUSED

VALUES = {"deprecatevar": "session.score=60/300", "exec": "/bin/run.lua", "pause": "100", "proxy": "http://e.com/"}
ROWS = {name: (None, (f"{name}:{VALUES.get(name, 'text')}", 0)) for name in REFUSED}
"""Action: what is accepted (nothing is); what is refused, and the character of the value at fault."""


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("value", ["", ":x"])
def test_the_reason_is_given(name: str, value: str):
    with pytest.raises(SecLangError) as caught:
        WAF.from_directives(f'SecAction "id:1,phase:1,{name}{value}"')
    (fault,) = caught.value.errors

    assert (fault.code, fault.message, fault.hint) == (
        "refused-action", f"{name} is refused: {REFUSED[name][0]}", REFUSED[name][1]
    )  # fmt: skip

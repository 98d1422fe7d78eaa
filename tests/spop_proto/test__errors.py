"""Status codes and errors."""

from typing import Any

import pytest

from spop_proto import LocalProtocolError, ProtocolError, RemoteProtocolError, StatusCode
from spop_proto._errors import known_status, shown


def test_status_codes_are_those_of_spop():
    assert [int(code) for code in StatusCode] == [*range(14), 99]


def test_a_status_of_an_agents_own_stays_a_number():
    assert known_status(4) is StatusCode.INVALID_FRAME
    assert known_status(4242) == 4242


@pytest.mark.parametrize("error", [LocalProtocolError, RemoteProtocolError])
def test_errors_tell_reason_and_status(error: Any):
    raised = error("why", StatusCode.FRAME_TOO_BIG)

    assert isinstance(raised, ProtocolError)
    assert (raised.reason, raised.status, str(raised)) == ("why", 3, "why")
    assert error("why").status is StatusCode.INVALID_FRAME


def test_bytes_of_the_peer_are_shown_escaped_and_cut():
    assert shown(b"a\n\x1b[2J") == r"b'a\n\x1b[2J'"
    assert shown(b"x" * 41) == f"b'{'x' * 40}...'"

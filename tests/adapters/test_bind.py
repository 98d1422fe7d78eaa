from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bind import Bind, BindError, SystemdBind, TcpBind, UnixBind, parse_bind


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:9000", TcpBind("127.0.0.1", 9000)),
        (":9000", TcpBind("", 9000)),
        ("*:9000", TcpBind("", 9000)),
        ("[::]:9000", TcpBind("::", 9000)),
        ("[::1]:0", TcpBind("::1", 0)),
        ("localhost:9000", TcpBind("localhost", 9000)),
        ("tcp://h.example:9000", TcpBind("h.example", 9000)),
        ("tcp://:9000", TcpBind("", 9000)),
        ("TCP://127.0.0.1:9000/", TcpBind("127.0.0.1", 9000)),
        (" 127.0.0.1:9000 ", TcpBind("127.0.0.1", 9000)),
        ("unix:///run/x.sock", UnixBind("/run/x.sock")),
        ("unix@/run/x.sock", UnixBind("/run/x.sock")),
        ("unix:/run/x.sock", UnixBind("/run/x.sock")),
        ("/run/x.sock", UnixBind("/run/x.sock")),
        ("./x.sock", UnixBind("./x.sock")),
        ("unix@@abstract", UnixBind("@abstract")),
        ("/run/x.sock mode 660", UnixBind("/run/x.sock", 0o660)),
        ("unix:///run/x.sock group haproxy  mode 0600", UnixBind("/run/x.sock", 0o600, group="haproxy")),
        ("unix@/run/a mode.sock user 0 group a.b", UnixBind("/run/a mode.sock", None, "0", "a.b")),
        ("systemd", SystemdBind()),
        ("systemd:agent.socket", SystemdBind("agent.socket")),
        ("systemd:9000", TcpBind("systemd", 9000)),
    ],
)
def test_forms(text: str, bind: Bind) -> None:
    assert parse_bind(text) == bind


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("9000", "only a port"),
        ("localhost", "no port"),
        ("::1:9000", "more than one colon"),
        ("[::1]", "not \\[IPv6\\]:port"),
        ("[::1]9000", "not \\[IPv6\\]:port"),
        ("h:port", "not a port"),
        ("h:65536", "not a port"),
        ("h:-1", "not a port"),
        ("h:٣", "not a port"),
        ("a b:9000", "not a host"),
        ("http://h:80", "not a kind of address"),
        ("unix://", "not the path"),
        ("unix@/run/", "not the path"),
        ("unix@/" + "x" * 200, "at most 107 bytes"),
        ("h:90\x0000", "control character"),
        ("/run/x mode 999", "not the mode"),
        ("/run/x mode 7777", "not the mode"),
        ("/run/x mode rw", "not the mode"),
        ("/run/x mode ٣", "not the mode"),
        ("/run/x mode 600 mode 660", "mode stands twice"),
        ("/run/x user " + "u" * 256, "no user, neither its name"),
        ("/run/x group 4294967295", "no group, neither its name"),
        ("unix@@abstract mode 660", "abstract name space"),
        ("systemd:", "FileDescriptorName"),
        ("systemd:a:b", "FileDescriptorName"),
    ],
)
def test_faults(text: str, message: str) -> None:
    with pytest.raises(BindError, match=message):
        parse_bind(text)


@given(st.one_of(st.text(max_size=40), st.text("[]:/@.un ixtcp0129a*", max_size=20)))
def test_never_anything_else(text: str) -> None:
    try:
        shown = str(parse_bind(text))
    except BindError as error:
        shown = error.message

    assert shown


@given(st.one_of(
    st.builds(TcpBind, st.from_regex(r"[a-z0-9.-]{0,20}|[0-9a-f:]{2,20}", fullmatch=True), st.integers(0, 65535)),
    st.builds(
        UnixBind,
        st.from_regex(r"/[ax/ ]{0,30}[ax]", fullmatch=True),
        st.none() | st.integers(0, 0o777),
        st.from_regex(r"[a-z0-9_]{0,8}", fullmatch=True),
        st.from_regex(r"[a-z0-9_]{0,8}", fullmatch=True),
    ),
    st.builds(SystemdBind, st.from_regex(r"([a-z][a-z.-]{0,20})?", fullmatch=True)),
))  # fmt: skip
def test_what_is_shown_can_be_read_again(bind: Bind) -> None:
    assert parse_bind(str(bind)) == bind

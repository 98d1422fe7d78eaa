from __future__ import annotations

import pytest

from adapters.bind import SystemdBind, TcpBind, UnixBind
from adapters.config import ConfigError, parse_config
from adapters.config_listen import MAX_LISTENERS
from adapters.config_model import TlsConfig


def _faults(text: str) -> list[str]:
    """Position, code and message of each fault."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.yaml")
    return [f"{each.span.line}:{each.span.column} {each.code}: {each.message}" for each in caught.value.diagnostics]


def test_several_addresses():
    config = parse_config("""\
listen:
  - 127.0.0.1:9000
  - localhost:9001
  - tcp://h:9002
  - unix:///run/a.sock
  - unix@/run/b.sock mode 660 group haproxy
  - systemd:web
  - bind: unix:/run/c.sock
    mode: 0660
    owner: waf
    group: "12"
  - bind: 0.0.0.0:9443
    tls: {certificate: a.pem, key: k.pem, client_ca: ca.pem}
  - bind: "[::]:9444"
    tls: {certificate: both.pem}
""")

    assert config.binds == (
        TcpBind("127.0.0.1", 9000),
        TcpBind("localhost", 9001),
        TcpBind("h", 9002),
        UnixBind("/run/a.sock"),
        UnixBind("/run/b.sock", 0o660, group="haproxy"),
        SystemdBind("web"),
        UnixBind("/run/c.sock", 0o660, "waf", "12"),
        TcpBind("0.0.0.0", 9443),
        TcpBind("::", 9444),
    )
    assert [each.tls for each in config.listeners[:7]] == [None] * 7
    assert config.listeners[7].tls == TlsConfig("a.pem", "k.pem", "ca.pem")
    assert config.listeners[8].tls == TlsConfig("both.pem", "both.pem")
    assert [each.where.line for each in config.listeners] == [2, 3, 4, 5, 6, 7, 8, 12, 14]
    assert [str(each) for each in (config.listeners[7].tls or TlsConfig("", "")).where] == [
        "config.yaml:13:24",
        "config.yaml:13:36",
        "config.yaml:13:54",
    ]
    assert (config.generation, [fault.code for fault in config.warnings]) == ("ours", ["no-applications"])


def test_port_0_may_be_listened_on_twice():
    assert parse_config("listen: [':0', ':0']\n").binds == (TcpBind("", 0), TcpBind("", 0))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("bind: :1\nlisten: [':2']", "2:9 contradiction: bind and listen are both set: which of them is meant?"),
        ("listen: :1", "1:9 wrong-type: listen must be a list of addresses"),
        ("listen: []", "1:9 wrong-type: listen must be a list of addresses"),
        ("log_level: info\nlisten:", "1:1 wrong-type: listen must be a list of addresses"),
        ("listen: {bind: ':1'}", "1:9 wrong-type: listen must be a list of addresses"),
        ("listen: [':1', [x]]", "1:16 wrong-type: listen[2] must be an address, or a map with `bind`"),
        ("listen: [null]", "1:10 wrong-type: listen[1] must be an address, or a map with `bind`"),
        ("listen: [9000]", "1:10 bad-address: listen[1]: '9000' is only a port"),
        ("listen: [':1', 'tcp://:1/']", "1:16 duplicate-address: :1 is listened on already, by line 1"),
        (
            "listen:\n- unix@/x mode 600\n- {bind: unix:/x, mode: 660}",
            "3:3 duplicate-address: unix@/x is listened on already, by line 2",
        ),
        ("listen: [{tls: {certificate: x}}]", "1:10 no-bind: listen[1] has no bind"),
        ("listen: [{bind: ''}]", "1:17 bad-address: bind: the address is empty"),
        ("listen: [{bind: nowhere}]", "1:17 bad-address: bind: 'nowhere' has no port"),
        ("listen: [{bind: [x]}]", "1:17 wrong-type: listen[1].bind must be a text, not a list"),
        ("listen: [{bind: ':1', port: 5}]", "1:23 unknown-key: 'port' is not a key of listen[1]"),
        ("listen: [{bind: ':1', mode: 660}]", "1:29 contradiction: :1 has no file, so mode means nothing there"),
        (
            "listen: [{bind: systemd, owner: a}]",
            "1:33 contradiction: systemd has no file, so owner means nothing there",
        ),
        (
            "listen: [{bind: unix@@x, group: a}]",
            "1:33 contradiction: unix@@x has no file, so group means nothing there",
        ),
        (
            "listen: [{bind: unix@/x mode 600, mode: 660}]",
            "1:41 contradiction: mode is set twice: here, and in the address 'unix@/x mode 600'",
        ),
        (
            "listen: [{bind: unix@/x user a, owner: b}]",
            "1:40 contradiction: owner is set twice: here, and in the address 'unix@/x user a'",
        ),
        ("listen: [{bind: unix:/x, mode: 888}]", "1:32 bad-value: listen[1].mode: '888' is not the mode of a file"),
        ("listen: [{bind: unix:/x, mode: ''}]", "1:32 bad-value: listen[1].mode: '' is not the mode of a file"),
        (
            "listen: [{bind: unix:/x, owner: a b}]",
            "1:33 bad-value: listen[1].owner: 'a b' is no user, neither its name nor its number",
        ),
        (
            "listen: [{bind: unix:/x, group: 99999999999}]",
            "1:33 bad-value: listen[1].group: '99999999999' is no group, neither its name nor its number",
        ),
        ("listen: [{bind: ':1', tls: }]", "1:10 no-certificate: listen[1].tls has no certificate"),
        ("listen: [{bind: ':1', tls: {}}]", "1:28 no-certificate: listen[1].tls has no certificate"),
        ("listen: [{bind: ':1', tls: {key: k}}]", "1:28 no-certificate: listen[1].tls has no certificate"),
        ("listen: [{bind: ':1', tls: on}]", "1:28 wrong-type: listen[1].tls must be a map of keys, not 'on'"),
        (
            "listen: [{bind: ':1', tls: {certificate: c, client_ca: }}]",
            "1:28 bad-value: listen[1].tls.client_ca names no file: any client would be let in",
        ),
        (
            "listen: [{bind: ':1', tls: {certificate: c, ca: x}}]",
            "1:45 unknown-key: 'ca' is not a key of listen[1].tls",
        ),
    ],
)
def test_what_cannot_be_meant(text: str, fault: str):
    assert _faults(text) == [fault]


def test_a_list_without_end():
    texts = ", ".join(f"':{port}'" for port in range(1, MAX_LISTENERS + 2))

    assert _faults(f"listen: [{texts}]") == [
        f"1:9 too-large: listen has {MAX_LISTENERS + 1} addresses, at most {MAX_LISTENERS} are read"
    ]


def test_every_fault_is_told_at_once():
    assert [fault.split(":")[0] for fault in _faults("listen:\n- x\n- {mode: 5}\n- {bind: y, tls: 5}\n")] == [
        "2",
        "3",
        "4",
        "4",
    ]

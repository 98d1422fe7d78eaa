from __future__ import annotations

from ipaddress import ip_network

import pytest

from adapters.config import ConfigError, parse_config
from adapters.config_model import MAX_PATTERNS, ApplicationConfig, Budget, Config, Skip

ALL = """\
bind: :1
applications:
  - name: shop
    directives: SecRuleEngine On
    hosts: [shop.example.com, "*.Shop.example.com", 192.0.2.1, "[2001:db8::1]", localhost., a_b.example]
    transaction_active_limit: 10
    transaction_active_bytes: 2097152
    detect_only: false
    trusted_proxies: [10.0.0.0/8, fd00::/8, 192.0.2.7, "::ffff:198.51.100.0/120", 10.0.0.0/8]
    client_address_header: X-Real-IP
    skip: {paths: [/static/*, /**.png], content_types: [Image/*, application/pdf]}
    block_page: blocked.html
    budget_ms: 12.5
    budget_action: deny
"""

BYTES = "applications[1].transaction_active_bytes"


def _config(settings: str) -> Config:
    return parse_config(f"bind: :1\napplications:\n- name: a\n  directives: x\n  {settings}\n", "c.yaml")


def _application(settings: str) -> ApplicationConfig:
    return _config(settings).applications[0]


def _faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.yaml")
    return [f"{each.span.line}:{each.span.column} {each.code}: {each.message}" for each in caught.value.diagnostics]


def test_all_of_them():
    config = parse_config(ALL, "c.yaml")
    shop = config.applications[0]

    assert (config.generation, config.warnings) == ("ours", ())
    assert shop.hosts == (
        "shop.example.com",
        "*.shop.example.com",
        "192.0.2.1",
        "[2001:db8::1]",
        "localhost",
        "a_b.example",
    )
    assert (shop.active_limit, shop.active_bytes, shop.detect_only) == (10, 2 << 20, False)
    networks = ("10.0.0.0/8", "fd00::/8", "192.0.2.7/32", "198.51.100.0/24")
    assert shop.trusted_proxies == tuple(map(ip_network, networks))
    assert shop.client_address_header == "X-Real-IP"
    assert shop.skip == Skip(("/static/*", "/**.png"), ("image/*", "application/pdf"))
    assert (shop.block_page, str(shop.block_page_at)) == ("blocked.html", "c.yaml:12:17")
    assert shop.budget == Budget(12.5, "deny")


def test_coraza_spoas_keys_alone_are_its_form():
    assert _config("transaction_active_limit: 5").generation == "C"
    assert _config("detect_only: true").generation == "ours"


def test_with_proxies_their_usual_header_is_read():
    assert _application("trusted_proxies: 192.0.2.1").client_address_header == "X-Forwarded-For"
    assert _application("detect_only: true").client_address_header == ""


def test_to_trust_everybody_is_worth_a_word():
    assert [each.code for each in _config("trusted_proxies: [0.0.0.0/0, '::/0']").warnings] == ["trusts-all"] * 2


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("hosts: ['*']", "5:11 bad-value: '*' is every host"),
        ("hosts: [a.b, A.B]", "5:16 duplicate-host: a.b belongs to this application already, by line 5"),
        ("hosts: 'https://a.b'", "5:10 bad-value: 'https://a.b' is not a host name: no scheme, no port, no path"),
        ("hosts: ['a.b:80']", "5:11 bad-value: 'a.b:80' is not a host name: no scheme, no port, no path"),
        ("hosts: ['a.*.b']", "5:11 bad-value: 'a.*.b' has a * in its middle"),
        ("hosts: ['a..b']", "5:11 bad-value: 'a..b' is not a host name"),
        ("hosts: ['a b']", "5:11 bad-value: 'a b' is not a host name"),
        ("hosts: ['.']", "5:11 bad-value: '.' is not a host name"),
        ("hosts: ['[::g]']", "5:11 bad-value: '[::g]' is not an IPv6 address"),
        ("hosts: [bücher.example]", "5:11 bad-value: 'bücher.example' is not in ASCII, as HAProxy hands it on"),
        ("hosts: [ü..x]", "5:11 bad-value: 'ü..x' is not a host name"),
        ("hosts: {a: b}", "5:10 wrong-type: applications[1].hosts must be a list of texts, not a map"),
        ("transaction_active_bytes: 5", f"5:29 out-of-range: {BYTES} must be from {1 << 20} to {1 << 40} bytes, not 5"),
        ("detect_only: 5", "5:16 wrong-type: applications[1].detect_only must be true or false, not '5'"),
        ("trusted_proxies: proxy", "5:20 bad-value: 'proxy' is not an address or a network"),
        (
            "trusted_proxies: 10.0.0.1/8",
            "5:20 bad-value: '10.0.0.1/8' is an address within a network: which of them is meant?",
        ),
        (
            "client_address_header: X-Real-IP",
            "5:26 contradiction: client_address_header without trusted_proxies: whose word is taken for it?",
        ),
        (
            "{trusted_proxies: 10.0.0.1, client_address_header: 'a b'}",
            "5:58 bad-value: applications[1].client_address_header must be the name of a header, not 'a b'",
        ),
        ("skip: [/static]", "5:9 wrong-type: applications[1].skip must be a map of keys, not a list"),
        ("skip: {path: /x}", "5:10 unknown-key: 'path' is not a key of applications[1].skip"),
        (
            "skip: {paths: '*.png'}",
            "5:17 bad-value: '*.png' is not a pattern of paths: a path begins with a slash",
        ),
        ("skip: {paths: ['/*']}", "5:18 skips-all: '/*' skips every request"),
        ("skip: {paths: ['**']}", "5:18 skips-all: '**' skips every request"),
        ("skip: {content_types: ['*/*']}", "5:26 skips-all: '*/*' skips every body"),
        ("skip: {content_types: [png]}", "5:26 bad-value: 'png' is not a pattern of content types"),
        (
            "skip: {content_types: ['a/b; c=d']}",
            "5:26 bad-value: 'a/b; c=d' is not a pattern of content types",
        ),
        (
            "{detect_only: true, block_page: x}",
            "5:39 contradiction: detect_only with block_page: nobody is ever blocked, so nobody sees the page",
        ),
        ("budget_ms: -1", "5:14 out-of-range: applications[1].budget_ms must be from 0 to 60000 milliseconds, not -1"),
        (
            "budget_ms: 1.2.3",
            "5:14 wrong-type: applications[1].budget_ms must be a number of milliseconds, not '1.2.3'",
        ),
        ("budget_ms: .", "5:14 wrong-type: applications[1].budget_ms must be a number of milliseconds, not '.'"),
        (
            "budget_action: deny",
            "5:18 contradiction: budget_action without budget_ms: there is no budget that could be exceeded",
        ),
        (
            "{budget_ms: -1, budget_action: deny}",
            "5:19 out-of-range: applications[1].budget_ms must be from 0 to 60000 milliseconds, not -1",
        ),
        (
            "{budget_ms: 5, budget_action: drop}",
            "5:37 bad-value: applications[1].budget_action must be one of pass, deny, error, not 'drop'",
        ),
        (
            "{budget_ms: 5, budget_action: deny, detect_only: yes}",
            "5:37 contradiction: detect_only with budget_action deny: this application never blocks",
        ),
    ],
)
def test_what_cannot_be_meant(settings: str, fault: str):
    if settings.startswith("{"):  # several keys, each in its column
        settings = "<<: " + settings

    assert _faults(f"bind: :1\napplications:\n- name: a\n  directives: x\n  {settings}\n") == [fault]


def test_a_host_belongs_to_one_application():
    first, second = "{name: a, directives: x,\n  hosts: a.b}", "{name: b, directives: x,\n  hosts: [c.d, a.b]}"
    text = f"bind: :1\napplications:\n- {first}\n- {second}\n"

    assert _faults(text) == ["6:16 duplicate-host: a.b belongs to application 'a' already, by line 4"]


@pytest.mark.parametrize("key", ["hosts", "trusted_proxies"])
def test_a_list_without_end(key: str):
    entries = ", ".join(f"10.0.{n // 250}.{n % 250}" for n in range(MAX_PATTERNS + 1))

    (fault,) = _faults(f"bind: :1\napplications:\n- name: a\n  directives: x\n  {key}: [{entries}]\n")

    assert fault.endswith(f"applications[1].{key} has {MAX_PATTERNS + 1} entries, at most {MAX_PATTERNS} are read")


def test_a_pattern_without_end():
    (fault,) = _faults(f"bind: :1\napplications:\n- name: a\n  directives: x\n  skip: {{paths: /{'x' * 1000}}}\n")

    assert fault.endswith("is not a pattern of paths: it is longer than 1000 characters")

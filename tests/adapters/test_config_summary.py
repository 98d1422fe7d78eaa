from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters.config import parse_config
from adapters.config_model import SharedConfig
from adapters.config_summary import describe, summary, without_password
from adapters.rule_sets import load_rule_sets
from waf_engine.diagnostics import Span

OURS = """\
listen:
  - 127.0.0.1:9000
  - bind: :9443
    tls: {certificate: a.pem}
  - bind: :9444
    tls: {certificate: a.pem, client_ca: b.pem}
log_file: waf.log
log_rotation: {size_mb: 5, keep: 2}
default_application: shop
workers: auto
autoreload: true
metrics: 127.0.0.1:9100
cache_folder: /var/cache/x
serve_while_compiling: false
shared: {url: "redis://u:secret@h:1/2"}
applications:
  - name: shop
    directives: &rules |
      SecRuleEngine On
      SecAction "id:1,phase:1,pass,nolog"
    response_check: true
    hosts: [a.example, "*.a.example"]
    trusted_proxies: [10.0.0.0/8, 192.0.2.1]
    skip: {paths: [/static/*], content_types: [image/*]}
    block_page: page.html
    budget_ms: 2.5
    budget_action: deny
  - name: other
    directives: *rules
    detect_only: true
"""


def test_for_people():
    config = parse_config(OURS)

    assert list(describe("c.yaml", config, load_rule_sets(config))) == [
        "c.yaml is valid (form ours)",
        "  listens on    127.0.0.1:9000",
        "                :9443 with TLS",
        "                :9444 with TLS, clients by certificate",
        "  logs to       waf.log, set aside at 5 MiB",
        "  workers       one for each core",
        "  reloads       when a file of the configuration or the rules changes",
        "  metrics       http://127.0.0.1:9100/metrics",
        "  shares by     redis://h:1/2, waiting at most 20 ms",
        "  patterns in   /var/cache/x",
        "  waits         for its patterns to be compiled before it listens",
        "  application   shop, the default",
        "    hosts       a.example, *.a.example",
        "    rules       1",
        "    engine      On",
        "    responses   checked; a request waits 60 s for its response, at most 100000 do",
        "    clients     as X-Forwarded-For of 10.0.0.0/8, 192.0.2.1/32 says",
        "    skips       /static/*, bodies of image/*",
        "    block page  page.html",
        "    budget      2.5 ms of CPU for a transaction, then deny",
        "  application   other",
        "    rules       1",
        "    shared      these are the rules of shop, loaded once",
        "    engine      On; detect_only: it never blocks",
        "    responses   not checked",
    ]


def test_what_says_nothing_is_not_said():
    config = parse_config("bind: :1\napplications: [{name: a, directives: SecRuleEngine On}]\n")

    assert list(describe("c.yaml", config, load_rule_sets(config))) == [
        "c.yaml is valid (form C)",
        "  listens on    :1",
        "  logs to       /dev/stdout",
        "  workers       one for each core",
        "  application   a",
        "    rules       0",
        "    engine      On",
        "    responses   not checked",
    ]


def test_for_scripts():
    config = parse_config(OURS)
    said = summary("c.yaml", config, load_rule_sets(config))

    assert json.loads(json.dumps(said)) == said
    assert said["listeners"][2] == {"bind": ":9444", "tls": "mutual"}
    assert (said["workers"], said["shared"], said["log_rotation"]["keep"]) == ("auto", "redis://h:1/2", 2)
    shop, other = said["applications"]
    assert (shop["trusted_proxies"], shop["skip"]["paths"]) == (["10.0.0.0/8", "192.0.2.1/32"], ["/static/*"])
    assert (shop["budget_ms"], other["budget_ms"]) == (2.5, None)
    assert (shop["shares_rules_with"], other["shares_rules_with"]) == ([], ["shop"])
    bare = replace(config, rotation=None, shared=None, metrics=None)
    assert [summary("c", bare, load_rule_sets(bare))[key] for key in ("log_rotation", "shared", "metrics")] == [
        None
    ] * 3


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@h:1/0", "redis://h:1/0"),
        ("rediss://h", "rediss://h"),
        ("unix://u:pw@/run/x?db=1", "unix:///run/x"),
        ("redis://h/0?password=pw", "redis://h/0"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str):
    assert without_password(SharedConfig(url, 1, "", Span("c", 1))) == shown

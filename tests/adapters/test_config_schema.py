from __future__ import annotations

import json
import runpy
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from adapters.config import ConfigError, parse_config
from adapters.config_schema import STRICT, TABLES, Key, render, schema

FILE = Path(__file__).resolve().parents[2] / "docs" / "config.schema.json"
SOURCE = str(FILE.parents[1] / "adapters" / "config_schema.py")
VALIDATOR = jsonschema_rs.validator_for(schema())

# One valid text for each table, with {} where a key of that table may stand.
FRAMES = {
    "list": "bind: :1\n{}\n",
    "application": "bind: :1\napplications:\n  - name: a\n    {}\n",
    "listener": "listen:\n  - bind: unix:/run/x\n    {}\n",
    "tls": "listen:\n  - bind: :1\n    tls:\n      certificate: x.pem\n      {}\n",
    "shared": "bind: :1\nshared:\n  url: redis://h\n  {}\n",
    "rotation": "bind: :1\nlog_rotation:\n  {}\n",
    "skip": "bind: :1\napplications:\n  - name: a\n    skip:\n      {}\n",
    "map": "bind: :1\napplications: {{a: {{directives: x}}}}\n{}\n",
    "old_application": "bind: :1\napplications:\n  a:\n    {}\n",
    "flat": "spoa: {{bind: ':1'}}\n{}\n",
    "log": "spoa: {{bind: ':1'}}\nlog:\n  {}\n",
    "spoa": "spoa:\n  bind: :1\n  {}\n",
}
GOOD = [
    "bind: 127.0.0.1:9000\nlog_level: info\nlog_format: json\ndefault_application: a\napplications: [{name: a}]\n",
    "bind: :1\napplications:\n- {name: a, directives: x, response_check: on, transaction_ttl_ms: 0, log_level: WARN}\n",
    "bind: :1\n",
    "bind: '[::]:1'\nlog_level:\napplications:\n",
    "bind: unix@/run/x mode 660 user a\nlog_level: warning\napplications: []\n",
    "bind: systemd:web\nplugins: off\n",
    "bind: tcp://localhost:9000\napplications: [{name: 5, directives: x, transaction_ttl_ms: '1_000'}]\n",
    "listen: [':1', 'unix@/run/x mode 660', systemd:web]\nworkers: auto\nautoreload: yes\ndrain_timeout_ms: 0\n",
    "listen:\n- {bind: unix:/run/x, mode: 0660, owner: a, group: 5}\n- {bind: ':2', tls: {certificate: c, key: k}}\n",
    "listen: [{bind: ':1', tls: {certificate: c, client_ca: d}}]\nmetrics: 127.0.0.1:9100\ncache_folder: /x\n",
    "bind: :1\nworkers: 8\nshared: {url: 'rediss://h:1/2', timeout_ms: 5, prefix: 'a:'}\nlog_rotation: {keep: 3}\n",
    "bind: :1\nmetrics: tcp://h:2\nlog_rotation: {size_mb: 1, days: 0, compress: no}\nserve_while_compiling: off\n",
    "bind: :1\napplications: [{name: a, hosts: [a.b, '*.a.b'], skip: {paths: /x/*, content_types: [image/*]}}]\n",
    "bind: :1\napplications: [{name: a, trusted_proxies: 10.0.0.0/8, client_address_header: X, block_page: p}]\n",
    "bind: :1\napplications: [{name: a, budget_ms: 2.5, budget_action: deny, transaction_active_bytes: 1048576}]\n",
    "bind: :1\napplications: [{name: a, detect_only: true, skip: }]\n",
    "applications: {a: {include: /x, rules: [y], log_level: loud, transaction_ttl: 60, other: 1}}\n",
    "applications: {a: }\n",
    "applications: {}\nlog_level: [whatever]\n",
    "spoa:\n",
    "spoa: {bind: /run/x, include: [a, b], other: 1}\nlog: {level: debug, dir: x}\n",
]
BAD = [
    "5\n",
    "[]\n",
    "bind: 9000\n",
    "bind: localhost\n",
    "bind: [x]\n",
    "bnd: :1\n",
    "bind: :1\nlog_level: loud\n",
    "bind: :1\nlog_format: ''\n",
    "bind: :1\nlog_format: xml\n",
    "bind: :1\nplugins: maybe\n",
    "bind: :1\napplications: 5\n",
    "bind: :1\napplications: [5]\n",
    "bind: :1\napplications: [null]\n",
    "bind: :1\napplications: [{directives: x}]\n",
    "bind: :1\napplications: [{name: '', directives: x}]\n",
    "bind: :1\napplications: [{name: a, directives: [x]}]\n",
    "bind: :1\napplications: [{name: a, no_response_check: true}]\n",
    "bind: :1\napplications: [{name: a, transaction_ttl_ms: -1}]\n",
    "bind: :1\napplications: [{name: a, transaction_ttl_ms: soon}]\n",
    "bind: :1\napplications: [{name: a, transaction_active_limit: 0}]\n",
    "bind: :1\napplications: [{name: a, include: [x]}]\n",
    "bind: :1\nlisten: [':2']\n",
    "listen: :1\n",
    "listen: []\n",
    "listen:\n",
    "listen: [5]\n",
    "listen: [null]\n",
    "listen: [[':1']]\n",
    "listen: [{mode: 660}]\n",
    "listen: [{bind: unix:/x, mode: rw}]\n",
    "listen: [{bind: ':1', colour: red}]\n",
    "listen: [{bind: ':1', tls: }]\n",
    "listen: [{bind: ':1', tls: {}}]\n",
    "listen: [{bind: ':1', tls: {key: k}}]\n",
    "listen: [{bind: ':1', tls: yes}]\n",
    "bind: :1\nworkers: 0\n",
    "bind: :1\nworkers: many\n",
    "bind: :1\nmetrics: 9100\n",
    "bind: :1\nmetrics: unix:/x\n",
    "bind: :1\nshared: {timeout_ms: 5}\n",
    "bind: :1\nshared: redis://h\n",
    "bind: :1\nlog_rotation: yes\n",
    "bind: :1\nlog_rotation: {size: 5}\n",
    "bind: :1\napplications: [{name: a, budget_ms: -1}]\n",
    "bind: :1\napplications: [{name: a, budget_ms: soon}]\n",
    "bind: :1\napplications: [{name: a, budget_ms: 5, budget_action: drop}]\n",
    "bind: :1\napplications: [{name: a, hosts: {a: b}}]\n",
    "bind: :1\napplications: [{name: a, skip: [x]}]\n",
    "bind: :1\napplications: [{name: a, skip: {path: x}}]\n",
    "bind: :1\napplications: {a: 5}\n",
    "bind: :1\napplications: {'': {}}\n",
    "bind: :1\napplications: {a: {transaction_ttl: -1}}\n",
    "bind: :1\napplications: {a: {include: {x: 1}}}\n",
    "bind: :1\napplications: {a: {rules: ['']}}\n",
    "bind: :1\napplications: {a: {no_response_check: maybe}}\n",
    "bind: :1\napplications: {a: {log_level: []}}\n",
    "spoa: 5\n",
    "spoa: {bind: ':1', transaction_ttl: 0}\n",
    "spoa: {bind: ':1', transaction_active_limit: 0}\n",
    "spoa: {bind: ':1'}\nlog: {level: loud}\n",
    "spoa: {bind: ':1'}\nlog: [x]\n",
]


def _is_read(text: str) -> bool:
    try:
        parse_config(text)
    except ConfigError:
        return False
    return True


def _is_valid(text: str) -> bool:
    return VALIDATOR.is_valid(yaml.safe_load(text))


def test_the_file_is_fresh(capsys: pytest.CaptureFixture[str]):
    """After a change of the table: `python -m adapters.config_schema > docs/config.schema.json`."""
    runpy.run_path(SOURCE, run_name="__main__")

    assert capsys.readouterr().out == FILE.read_text("utf-8") == render()
    jsonschema_rs.meta.validate(json.loads(render()))


@pytest.mark.parametrize("text", GOOD)
def test_what_is_read_is_valid(text: str):
    assert (_is_read(text), _is_valid(text)) == (True, True)


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused_is_not_valid(text: str):
    assert (_is_read(text), _is_valid(text)) == (False, False)


# Those that take more than any plain value are among the examples above.
KEYS = [
    (table, key)
    for table, keys in TABLES.items()
    for key in keys
    if key.holds.removeprefix("bind|").rstrip("[]{}") not in TABLES
    and key.name not in ("bind", "default_application", "name", "certificate", "url")
]
VALUES = {
    "boolean": "true",
    "format": "json",
    "number": "5",
    "workers": "auto",
    "mode": "0660",
    "metrics": "h:2",
    "hosts": "a.example",
    "trusted_proxies": "10.0.0.1",
    "client_address_header": "X-Real-IP\n    trusted_proxies: 10.0.0.1",
    "budget action": "deny\n    budget_ms: 5",
    "paths": "/static/*",
    "content_types": "image/*",
}


def _with(table: str, key: str, value: str) -> str:
    return FRAMES[table].format(f"{key}: {value}")


@pytest.mark.parametrize(("table", "key"), KEYS, ids=[f"{table}.{key.name}" for table, key in KEYS])
def test_each_key_of_the_table_is_read(table: str, key: Key):
    value = str(key.highest) if key.holds == "integer" else VALUES.get(key.name) or VALUES.get(key.holds, "info")
    text = _with(table, key.name, value)
    config = parse_config(text)

    assert [fault.message for fault in config.warnings if fault.code == "unknown-key"] == []
    assert _is_valid(text)


INTEGERS = [(table, key) for table, key in KEYS if key.holds in ("integer", "number")]


@pytest.mark.parametrize(("table", "key"), INTEGERS, ids=[f"{table}.{key.name}" for table, key in INTEGERS])
def test_bounds_are_the_same(table: str, key: Key):
    numbers = (key.lowest - 1, key.lowest, key.highest, key.highest + 1)
    texts = [_with(table, key.name, str(number)) for number in numbers]

    assert [_is_read(text) for text in texts] == [False, True, True, False]
    assert [_is_valid(text) for text in texts] == [False, True, True, False]


@pytest.mark.parametrize("table", TABLES)
def test_keys_that_are_in_no_table(table: str):
    text = _with(table, "colour", "red")

    assert _is_read(text) == _is_valid(text) == (table not in STRICT)


def test_the_schema_has_a_description_for_every_key():
    for table in schema()["definitions"].values():
        assert all(each["description"] for each in table["properties"].values())

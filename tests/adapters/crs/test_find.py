from __future__ import annotations

from pathlib import Path

import pytest

from adapters.cli import main
from adapters.config import ConfigError, parse_config
from adapters.crs.find import current_version, detection_only, embedded_rules, explain
from adapters.crs.store import SYSTEM_STORE, Store, default_store
from adapters.rule_sets import load_rule_sets
from tests.adapters.crs.conftest import crs_files, plugin_files, write
from tests.conftest import absent
from waf_engine import WAF
from waf_engine.diagnostics import Diagnostic, Severity, Span
from waf_engine.loaders import EMBEDDED

pytestmark = pytest.mark.usefixtures("machine")

CORAZA_SPOA = """\
bind: 127.0.0.1:0
log_file: /dev/stderr
applications:
- name: a
  directives: |
    Include @coraza.conf-recommended
    Include @crs-setup.conf.example
    Include @owasp_crs/*.conf
"""


def names() -> tuple[str, ...]:
    version = current_version()
    return () if version is None else (version.name, version.release)


def test_the_pinned_then_the_newest_then_debian_s(machine: Path) -> None:
    assert names() == ()
    write(machine / "debian", crs_files("3.3.4"))
    assert names() == ("debian", "3.3.4")
    write(machine / "system/4.1.0", crs_files("4.1.0"))
    write(machine / "system/4.2.0", crs_files("4.2.0"))
    assert names() == ("4.2.0", "4.2.0")
    Store(machine / "system").pin("4.1.0")
    assert names() == ("4.1.0", "4.1.0")
    write(default_store().folder / "4.0.0", crs_files("4.0.0"))
    assert names() == ("4.0.0", "4.0.0")
    default_store().pin("debian")
    assert names() == ("debian", "3.3.4")
    write(default_store().folder, {"pinned": "4.9.0\n"})
    assert names() == ()  # not another one behind the administrator's back
    assert str(SYSTEM_STORE) == "/var/lib/spoa-waf/crs"


def test_a_configuration_of_coraza_spoa_loads() -> None:
    write(default_store().folder / "4.1.0", crs_files())
    rules = load_rule_sets(parse_config(CORAZA_SPOA, "c.yaml"))["a"]

    assert rules.waf.plan.files == (
        "@coraza.conf-recommended",
        "@crs-setup.conf.example",
        "@owasp_crs/REQUEST-901-INITIALIZATION.conf",
        "@owasp_crs/REQUEST-913-SCANNER-DETECTION.conf",
    )
    (warning,) = rules.warnings
    assert warning.render() == (
        "c.yaml:6:13: warning: these rules log but do not block: @coraza.conf-recommended says SecRuleEngine "
        "DetectionOnly [detection-only]\n        Include @coraza.conf-recommended\n                ^\n"
        "  hint: write `SecRuleEngine On` after `Include @coraza.conf-recommended` when it is to block"
    )


def test_no_warning_when_it_blocks() -> None:
    write(default_store().folder / "4.1.0", crs_files())
    rules = load_rule_sets(parse_config(CORAZA_SPOA + "    SecRuleEngine On\n", "c.yaml"))["a"]
    transaction = rules.waf.transaction()
    transaction.process_uri("/", "GET", "1.1")
    transaction.add_request_header("User-Agent", "nikto")

    assert rules.warnings == ()
    assert transaction.process_request_headers() is not None
    match = transaction.matched_rules[-1]
    assert '[file "@owasp_crs/REQUEST-913-SCANNER-DETECTION.conf"]' in match.coraza_line()


def test_no_warning_about_what_somebody_wrote() -> None:
    plan = WAF.from_directives("SecRuleEngine DetectionOnly", executor="reference").plan

    assert detection_only(plan, "SecRuleEngine DetectionOnly", "x") == ()


def faults() -> str:
    with pytest.raises(ConfigError) as error:
        load_rule_sets(parse_config(CORAZA_SPOA, "c.yaml"))
    return str(error.value)


def test_without_a_crs_the_error_says_which_command_gets_it() -> None:
    assert embedded_rules() == EMBEDDED
    text = faults()

    assert "c.yaml:7:13: error: there is no embedded file @crs-setup.conf.example: no OWASP CRS is installed" in text
    assert "c.yaml:8:13: error: there is no embedded tree for @owasp_crs/*.conf: no OWASP CRS is installed" in text
    assert text.count("hint: `spoa-waf crs install` gets one, or Debian's package: `apt-get install modsec") == 2


def test_a_pinned_version_that_is_gone() -> None:
    write(default_store().folder, {"pinned": "4.9.0"})

    assert "the pinned CRS 4.9.0 is not installed" in faults()
    assert "`spoa-waf crs install 4.9.0`, or pin another version" in faults()


def test_a_crs_without_settings(machine: Path) -> None:
    write(machine / "debian", crs_files())

    assert f"hint: the CRS in use is debian, in {machine}/debian/rules" in faults()


def test_other_faults_stay_as_they_are() -> None:
    fault = Diagnostic(Severity.ERROR, "no-such-file", "there is no file x", Span("a", 1), "looked in .")

    assert explain(fault) is fault


def test_the_test_command_knows_the_names_too(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(machine, {"t.yaml": "tests:\n- test_title: 1-1\n  stages:\n  - input: {}\n    output: {status: 200}\n"})
    assert main(["test", "--rules", "@owasp_crs/*.conf", "--", str(machine / "t.yaml")]) == 2
    assert "no OWASP CRS is installed" in capsys.readouterr().err


def _with_plugin(machine: Path) -> Path:
    """A machine with a CRS and a plug-in for it; the folder of the plug-ins."""
    write(default_store().folder / "4.1.0", crs_files())
    write(machine / "plugin", plugin_files())
    folder = default_store().folder.with_name("crs-plugins")
    write(folder, {each.name: each.read_text() for each in (machine / "plugin" / "plugins").iterdir()})
    return folder


PLUGIN = """\
bind: 127.0.0.1:0
log_file: /dev/stderr
applications:
- name: a
  directives: |
    SecRuleEngine On
    Include @crs-setup.conf.example
    Include @crs-plugins/shop-rule-exclusions
    Include @owasp_crs/*.conf
"""


def test_a_plugin_stands_where_the_crs_wants_it(machine: Path) -> None:
    _with_plugin(machine)
    rules = load_rule_sets(parse_config(PLUGIN, "c.yaml"))["a"]
    verdicts = []
    for path in ("/editor", "/"):
        transaction = rules.waf.transaction()
        transaction.process_uri(f"{path}?x=evil", "POST", "1.1")
        transaction.process_request_headers()
        verdicts.append(transaction.process_request_body() is None)

    assert [name for name in rules.waf.plan.files if not name.startswith("@owasp")] == [
        "@crs-setup.conf.example",
        "@crs-plugins/shop-rule-exclusions-config.conf",
        "@crs-plugins/shop-rule-exclusions-before.conf",
        "@crs-plugins/shop-rule-exclusions-after.conf",
    ]
    assert rules.waf.plan.files[-1] == "@crs-plugins/shop-rule-exclusions-after.conf"
    assert rules.warnings == ()
    assert verdicts == [True, False]  # the exclusion is for the editor only


def test_the_crs_s_own_way_to_include_all_plugins(machine: Path) -> None:
    _with_plugin(machine)
    includes = [f"    Include @crs-plugins/*-{part}.conf\n" for part in ("config", "before", "after")]
    text = PLUGIN.replace("    Include @crs-plugins/shop-rule-exclusions\n", "".join(includes[:2])) + includes[2]
    rules = load_rule_sets(parse_config(text, "c.yaml"))["a"]

    assert rules.warnings == ()
    assert rules.waf.plan.files == load_rule_sets(parse_config(PLUGIN, "c.yaml"))["a"].waf.plan.files


def test_a_plugin_after_the_rules_is_warned_of(machine: Path) -> None:
    _with_plugin(machine)
    line = "    Include @crs-plugins/shop-rule-exclusions\n"
    rules = load_rule_sets(parse_config(PLUGIN.replace(line, "") + line, "c.yaml"))["a"]
    (warning,) = rules.warnings

    assert (warning.code, str(warning.span)) == ("late-plugin", "c.yaml:9:13")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("@crs-plugins/wordpress-rule-exclusions", "spoa-waf crs plugin install wordpress-rule-exclusions"),
        ("@crs-plugins/*-before.conf", "spoa-waf crs plugin install NAME"),
    ],
)
def test_without_the_plugin_the_error_says_which_command_gets_it(name: str, command: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_rule_sets(parse_config(PLUGIN.replace("@crs-plugins/shop-rule-exclusions", name), "c.yaml"))
    (fault,) = [fault for fault in error.value.diagnostics if "crs-plugins" in fault.message]

    assert (fault.span.line, f"`{command}`" in fault.hint) == (8, True)


def test_plugins_that_came_with_the_crs(machine: Path) -> None:
    write(default_store().folder / "4.1.0", crs_files())
    write(default_store().folder / "4.1.0" / "plugins", {"empty-before.conf": "#\n"})
    assert embedded_rules()["@crs-plugins/"] == default_store().folder / "4.1.0" / "plugins"
    write(machine / "crs-plugins", {"shop-before.conf": "#\n"})
    assert embedded_rules()["@crs-plugins/"] == machine / "crs-plugins"


@pytest.mark.slow
def test_the_crs_of_debian_s_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one, in the place where the package puts it; ./dev installs it."""
    rules, setup = Path("/usr/share/modsecurity-crs/rules"), Path("/etc/modsecurity/crs/crs-setup.conf")
    if not rules.is_dir():
        absent("Debian's package modsecurity-crs is not installed")
    monkeypatch.setattr("adapters.crs.store.DEBIAN_RULES", rules)
    monkeypatch.setattr("adapters.crs.store.DEBIAN_SETUP", setup)
    loaded = load_rule_sets(parse_config(CORAZA_SPOA + "    SecRuleEngine On\n", "c.yaml"), background=True)["a"]
    transaction = loaded.waf.transaction()
    transaction.process_uri("/?file=/etc/passwd", "GET", "1.1")
    transaction.add_request_header("Host", "shop.example.com")
    transaction.process_request_headers()
    interruption = transaction.process_request_body()
    loaded.waf.close()

    assert names()[0] == "debian"
    assert loaded.waf.plan.rule_count > 400
    assert interruption is not None
    assert interruption.rule_id == 949110

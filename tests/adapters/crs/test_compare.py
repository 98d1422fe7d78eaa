from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.crs.compare import Difference, compare, read_rules
from tests.adapters.crs.conftest import crs_files, write

if TYPE_CHECKING:
    from pathlib import Path

OLD = """\
SecRule ARGS "@rx a" "id:1,phase:2,deny,msg:'one',ver:'OWASP_CRS/4.1.0'"
SecRule ARGS "@rx b" "id:2,phase:2,deny,msg:'two',chain"
    SecRule ARGS "@rx c"
SecAction "id:'3',phase:1,nolog,pass"
"""
NEW = """\
# written in another way, and with another ver
SecRule ARGS "@rx a" \\
    "id:1,\\
    phase:2,deny,msg:'one',ver:'OWASP_CRS/4.2.0'"
SecRule ARGS "@rx b" "id:2,phase:2,deny,msg:'two',chain"
    SecRule ARGS "@rx d"
SecRule ARGS "@rx e" "id:4,phase:2,deny,msg:'four'"
"""


def test_what_changed(tmp_path: Path) -> None:
    old = write(tmp_path / "old", {"a.conf": OLD, "same.data": "x", "words.data": "a", "gone.data": ""})
    new = write(tmp_path / "new", {"b.conf": NEW, "same.data": "x", "words.data": "b", "new.data": ""})

    assert compare(old, new) == Difference({4: "four"}, {3: ""}, {2: "two"}, ("gone.data", "new.data", "words.data"))
    assert compare(old, old) == Difference({}, {}, {}, ())


def test_rules_and_faults(tmp_path: Path) -> None:
    folder = write(tmp_path, crs_files(broken="SecRule ARGS")) / "rules"
    rules, faults = read_rules(folder)

    assert {number: len(rule) for number, rule in rules.items()} == {913100: 1, 913110: 2}
    assert len(faults) == 1
    assert faults[0].startswith("@owasp_crs/broken.conf:1:")

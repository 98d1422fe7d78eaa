from __future__ import annotations

import pickle

from adapters.metrics.facts import MAX_OVERRIDES, facts_of
from adapters.rule_sets import RuleSet
from waf_engine import WAF

RULES = """
SecRule ARGS "@contains x" "id:10,phase:2,deny,log,ver:'Rules/1.0'"
SecRule ARGS "@contains y" "id:11,phase:2,deny,log,ver:'Rules/1.0'"
SecRule ARGS "@contains z" "id:12,phase:2,deny,log"
SecRuleRemoveById 11
"""


def _rule_set(text: str, executor: str = "plan") -> RuleSet:
    return RuleSet(WAF.from_directives(text, executor=executor), embedded=False, warnings=())


def test_what_is_known_of_rules():
    shared = _rule_set(RULES)
    facts = facts_of({"shop": shared, "blog": shared, "plain": _rule_set(RULES, "reference")})

    assert facts["shop"].rules == 2
    assert facts["shop"].versions == ("Rules/1.0",)
    assert facts["shop"].overrides == ((11, "disabled"),)
    assert facts["shop"].ready
    assert not facts["plain"].ready
    assert facts["shop"].databases == facts["blog"].databases != facts["plain"].databases
    assert sum(facts["shop"].databases[1:]) >= 1


def test_other_processes_can_have_them():
    facts = facts_of({"shop": _rule_set(RULES, "reference")})

    assert pickle.loads(pickle.dumps(facts)) == facts


def test_overrides_are_bounded():
    rules = "".join(f'SecAction "id:{number},phase:1,pass,nolog"\n' for number in range(1, 301))
    facts = facts_of({"shop": _rule_set(f"{rules}SecRuleRemoveById 1-300\n", "reference")})

    assert len(facts["shop"].overrides) == MAX_OVERRIDES

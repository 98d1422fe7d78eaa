"""parse(unparse(tree)) == tree, the canonical form, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from waf_engine.diagnostics import Severity
from waf_engine.seclang.ast import (
    ActionRef,
    Argument,
    Directive,
    Node,
    OperatorRef,
    SecAction,
    SecDefaultAction,
    SecMarker,
    SecRule,
    VariableRef,
)
from waf_engine.seclang.parser import parse
from waf_engine.seclang.unparse import unparse

if TYPE_CHECKING:
    from pathlib import Path

# What one line of rule text may hold; blanks at the edges of an operator's argument are not kept.
CHARS = st.sampled_from([*"aA1 ,|/:'\"`#!&@%{}()=+-.\t", "\\\\", "\\d", "\u00e9", "\udce9", "\u201c", "\u00a0"])
TEXTS = st.lists(CHARS, max_size=12).map("".join)
FILLED = TEXTS.filter(lambda text: text.strip() != "")
TRIMMED = TEXTS.map(lambda text: text.strip(" \t"))
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
VARIABLES = st.one_of(
    st.builds(VariableRef, NAMES, st.none() | FILLED, count=st.booleans()),
    st.builds(VariableRef, NAMES, st.none() | FILLED, exclude=st.booleans()),
    st.builds(VariableRef, NAMES, TEXTS, is_regex=st.just(value=True)),
    st.builds(VariableRef, st.just("XML"), st.sampled_from(["/*", "//@*", "/a/b[1]", "/a|/b"])),
)
OPERATORS = st.builds(OperatorRef, NAMES, TRIMMED, st.booleans())
ACTIONS = st.builds(ActionRef, NAMES, st.none() | TEXTS)
ACTION_LISTS = st.lists(ACTIONS, min_size=1, max_size=4).map(tuple)
VARIABLE_LISTS = st.lists(VARIABLES, min_size=1, max_size=3).map(tuple)
ARGUMENTS = st.lists(st.builds(Argument, TEXTS), max_size=3).map(tuple)
BLOCKS = st.lists(st.from_regex(r"[a-z0-9.][a-z0-9. ]{0,5}[a-z]", fullmatch=True), min_size=2, max_size=4)
NODES: st.SearchStrategy[Node] = st.one_of(
    st.builds(SecRule, VARIABLE_LISTS, OPERATORS, st.just(()) | ACTION_LISTS),
    st.builds(SecAction, ACTION_LISTS),
    st.builds(SecDefaultAction, ACTION_LISTS),
    st.builds(SecMarker, FILLED),
    st.builds(Directive, NAMES.map("Sec".__add__), ARGUMENTS),
    st.builds(lambda lines: Directive("SecDataset", (Argument("d"), Argument("\n".join(lines)))), BLOCKS),
)


def faults(text: str) -> list[str]:
    return [d.render() for d in parse(text, "f")[1] if d.severity is Severity.ERROR]


@settings(max_examples=75, deadline=None)
@given(st.lists(NODES, max_size=4))
def test_generated_trees_survive(nodes: list[Node]):
    try:
        text = unparse(nodes)
    except ValueError:
        assume(condition=False)  # some texts cannot be written; the next test says which ones can
        raise

    assert parse(text, "f")[0] == tuple(nodes)
    assert faults(text) == []


@given(
    st.lists(st.sampled_from([*"aB1 |:'#!@%{}()=+-./,", '"', "\\\\", "\\d"]), min_size=1).map(
        lambda c: "".join(c).strip()
    ),
    st.lists(st.sampled_from([*"aB1 |:#!@%{}()=+-./,'", "\\\\", "\\d"])).map("".join),
)
def test_every_usual_text_can_be_written(argument: str, value: str):
    """No backslash alone before a quote, no typographic quotes: everything that rule sets have."""
    node = SecRule((VariableRef("ARGS", value or None),), OperatorRef("rx", argument), (ActionRef("msg", value),))
    assume(not (len(value) > 1 and value[0] == value[-1] == "/"))  # that selector would be a regular expression

    assert parse(unparse([node]), "f")[0] == (node,)


CANONICAL = r"""SecRule "ARGS|!ARGS:a|&TX:/b|c/|XML:/*|TX:'d e'" "@rx (\"x\")" \
    "id:1,\
    phase:2,\
    t:none,\
    msg:'It\'s, \"so\"',\
    setvar:tx.a=+%{tx.b},\
    deny"
SecRule ARGS:'/a/|b/' '@rx \"'
SecAction \
    "id:2,\
    pass"
SecDefaultAction "phase:2,log,pass"
SecMarker "END"
SecRuleEngine On
SecX "a b" ""
SecDataset d `
one
two
`
"""


def test_the_canonical_form_is_its_own_canonical_form():
    nodes, diagnostics = parse(CANONICAL, "f")

    assert diagnostics == ()
    assert len(nodes) == 8
    assert unparse(nodes) == CANONICAL


@pytest.mark.parametrize(
    "node",
    [
        SecRule((VariableRef("ARGS"),), OperatorRef("rx", "a\nb")),
        SecRule((VariableRef("ARGS"),), OperatorRef("rx", " a")),
        SecRule((VariableRef("ARGS"),), OperatorRef("r x", "a")),
        SecRule((VariableRef("A B"),), OperatorRef("rx", "a")),
        SecRule((VariableRef("ARGS", ""),), OperatorRef("rx", "a")),
        SecRule((), OperatorRef("rx", "a")),
        SecRule((VariableRef("ARGS", count=True, exclude=True),), OperatorRef("rx", "a")),
        SecRule((VariableRef("ARGS"),), OperatorRef("rx", "a\\\"\\'`")),
        SecAction(()),
        SecAction((ActionRef("a b"),)),
        SecAction((ActionRef("msg", "a\\"),)),
        SecAction((ActionRef("msg", "a\0b"),)),
        SecMarker(""),
        SecMarker("a\nb"),
        Directive("SecRule"),
        Directive("Sec X"),
        Directive("SecX", (Argument("#a\nb"),)),
    ],
)
def test_what_seclang_cannot_express_is_refused(node: Node):
    with pytest.raises(ValueError, match=r"SecLang cannot express|a list of actions is"):
        unparse([node])


@pytest.mark.corpora
def test_every_file_of_crs_survives(corpora: Path):
    files = [corpora / "crs/crs-setup.conf", *sorted((corpora / "crs/rules").glob("*.conf"))]
    count = 0
    for file in files:
        nodes, _ = parse(file.read_text("utf-8"), file.name)
        again, diagnostics = parse(unparse(nodes), file.name)
        count += len(again)

        assert (again, diagnostics) == (nodes, ())
    assert (len(files), count) == (28, 794)

"""Whole texts: the tree, and for each fault its text and the character it points at."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waf_engine.diagnostics import Diagnostic, Severity, Span
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
from waf_engine.seclang.lexer import MAX_DIAGNOSTICS, MAX_DIRECTIVE
from waf_engine.seclang.parser import MAX_ARGUMENTS, parse, parse_actions, parse_operator, parse_variables
from waf_engine.source import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator

DEBIAN_CRS = Path("/usr/share/modsecurity-crs/rules")
ARGS = (VariableRef("ARGS"),)
ID = (ActionRef("id", "1"),)


def nodes_of(text: str) -> tuple[Node, ...]:
    nodes, diagnostics = parse(text, "f")

    assert diagnostics == ()
    return nodes


def rule(argument: str, actions: tuple[ActionRef, ...] = ID) -> SecRule:
    return SecRule(ARGS, OperatorRef("rx", argument), actions)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('SecRule ARGS "@rx a" "id:1"', rule("a")),
        ('secrule ARGS "@rx a" "id:1"', rule("a")),
        ('SecRule\tARGS\t"@rx a"\t"id:1"', rule("a")),
        ('SecRule "ARGS" "@rx a" "id:1"', rule("a")),
        ("SecRule ARGS '@rx a' 'id:1'", rule("a")),
        ('SecRule ARGS "@rx a""id:1"', rule("a")),
        ('SecRule ARGS a "id:1"', rule("a")),
        ('SecRule ARGS a\\b "id:1"', rule("a\\b")),
        ('SecRule ARGS "@rx a" "id:1" # why', rule("a")),
        ('SecRule ARGS "@rx a"', rule("a", ())),
        ("SecRule ARGS a", rule("a", ())),
        (r'SecRule ARGS "@rx \"a\"" "id:1"', rule('"a"')),
        (r'SecRule ARGS "@rx a\\" "id:1"', rule(r"a\\")),
        ('SecRule ARGS "@rx a" \\\n    "id:1,\\\n    log"', rule("a", (*ID, ActionRef("log")))),
        ('SecRule ARGS "@rx a" \\\n    "id:1,\\\n# not now: deny,\\\n    log"', rule("a", (*ID, ActionRef("log")))),
        ('SecRule ARGS "@rx a \\\n    b" "id:1"', rule("a b")),
        ('SecRule ARGS:\'a b\' "@rx a" "id:1"', SecRule((VariableRef("ARGS", "a b"),), OperatorRef("rx", "a"), ID)),
        ('SecAction "id:1"', SecAction(ID)),
        ("SecAction id:1", SecAction(ID)),
        ("SecAction 'id:1'", SecAction(ID)),
        ("SecAction id:1,msg:'a b'", SecAction((*ID, ActionRef("msg", "a b")))),
        ('SecDefaultAction "phase:2,pass"', SecDefaultAction((ActionRef("phase", "2"), ActionRef("pass")))),
        ("SecMarker END", SecMarker("END")),
        ('SecMarker "END OF"', SecMarker("END OF")),
        ("SecMarker 'END'", SecMarker("END")),
        ("SecRuleEngine On", Directive("SecRuleEngine", (Argument("On"),))),
        ("secRULEengine On # why", Directive("secRULEengine", (Argument("On"),))),
        ("SecRuleEngine", Directive("SecRuleEngine")),
        ("SecArgumentSeparator #", Directive("SecArgumentSeparator", (Argument("#"),))),
        ('SecX a "b c"  d', Directive("SecX", (Argument("a"), Argument("b c"), Argument("d")))),
        ("SecDataset d `\n a \n# no\n\n b\n`", Directive("SecDataset", (Argument("d"), Argument("a\nb")))),
        ("SecDataset d `a`", Directive("SecDataset", (Argument("d"), Argument("a")))),
        ("\ufeffSecMarker END", SecMarker("END")),
    ],
)
def test_directives(text: str, expected: Node):
    assert nodes_of(text) == (expected,)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_newline_forms(newline: str):
    text = newline.join(['SecRule ARGS "@rx a" \\', '  "id:1"', "# x", "SecMarker END", ""])
    nodes = nodes_of(text)

    assert nodes == (rule("a"), SecMarker("END"))
    assert [node.span for node in nodes] == [Span("f", 1), Span("f", 4)]


def test_bytes_that_are_no_utf_8_survive():
    text = b'SecRule ARGS "@rx \xe9\xff" "id:1"'.decode("utf-8", "surrogateescape")
    [node] = nodes_of(text)

    assert isinstance(node, SecRule)
    assert node.operator.argument.encode("utf-8", "surrogateescape") == b"\xe9\xff"


def test_an_empty_list_of_actions_ends_a_chain_but_is_no_rule_of_its_own():
    """Coraza's tests have the first form."""
    nodes, diagnostics = parse('SecRule ARGS a "id:1,chain"\nSecRule ARGS b ""\nSecRule ARGS c ""', "f")

    assert nodes == (rule("a", (*ID, ActionRef("chain"))), rule("b", ()))
    assert [(d.code, d.span) for d in diagnostics] == [("empty-actions", Span("f", 3, 17))]


def test_places_and_raw_text():
    text = 'SecMarker A\n SecRule ARGS|!TX:x \\\n   "!@rx a" \\\n   "id:1,\\\n   msg:\'m\'"'
    node = nodes_of(text)[1]

    assert isinstance(node, SecRule)
    assert node.raw == 'SecRule ARGS|!TX:x "!@rx a" "id:1,msg:\'m\'"'
    places = [
        node.span,
        node.variables[1].span,
        node.variables[1].selector_span,
        node.operator.span,
        node.operator.argument_span,
        node.actions[0].span,
        node.actions[1].span,
        node.actions[1].value_span,
    ]
    expected = [(2, 2), (2, 15), (2, 19), (3, 5), (3, 10), (4, 5), (5, 4), (5, 9)]

    assert [(span.line, span.column) for span in places] == expected


def test_places_behind_an_escaped_quote():
    [node] = nodes_of(r"""SecAction "id:1,msg:'a \"b\"',deny" """)

    assert isinstance(node, SecAction)
    assert node.actions[2].span == Span("f", 1, 31)


def test_places_in_a_block():
    [node] = nodes_of("SecDataset d `\none\n`")

    assert isinstance(node, Directive)
    assert node.arguments[1].span == Span("f", 1, 15)


FAULTS = [
    # text, code, line, column, message
    ("SecRule", "missing-variables", 1, 8, "SecRule has no variables and no operator"),
    ("SecRule ARGS", "missing-operator", 1, 13, "SecRule has no operator behind its variables"),
    ("SecRule \\\n  ARGS", "missing-operator", 2, 7, "SecRule has no operator behind its variables"),
    ('SecRule ARGS "@rx a', "unclosed-quote", 1, 14, "this quote is never closed"),
    ('SecRule ARGS "@rx a" "id:1,deny', "unclosed-quote", 1, 22, "this quote is never closed"),
    ('SecRule ARGS "@rx a" \\\n  "id:1,\\\n  deny', "unclosed-quote", 2, 3, "this quote is never closed"),
    ('SecRule ARGS @rx a" "id:1"', "missing-quote", 1, 14, "the quote before the operator is missing"),
    ('SecRule ARGS @rx a "id:1"', "unquoted-operator", 1, 14, "an operator with blanks, without quotes"),
    ('SecRule ARGS "@rx a" id:1,deny', "unquoted-actions", 1, 22, "the actions are not in quotes"),
    ('SecRule ARGS "@rx a" id:1,deny"', "missing-quote", 1, 22, "the quote before the actions is missing"),
    ('SecRule ARGS "@rx a"id:1', "text-after-quote", 1, 21, "unexpected 'i' behind the closing quote"),
    ('SecRule ARGS "@rx "a"" "id:1"', "text-after-quote", 1, 20, "unexpected 'a' behind the closing quote"),
    (
        'SecRule ARGS "@rx a" "id:1" deny',
        "surplus-argument",
        1,
        29,
        "unexpected 'deny': SecRule takes variables, an operator and actions",
    ),
    ('SecRule ARGS "@rx a" ""', "empty-actions", 1, 23, "the list of actions is empty"),
    (
        'SecRule ARGS"@rx a" "id:1"',
        "missing-blank",
        1,
        13,
        "a blank is missing between the variables and the operator",
    ),
    ('SecRule ARGS | TX:x "@rx a" "id:1"', "blank-in-variables", 1, 14, "blanks between the variables"),
    (
        'SecRule ARGS \u201c@rx a\u201d "id:1"',
        "smart-quote",
        1,
        14,
        "\u201c is a typographic quote, as web pages and word processors make them",
    ),
    (
        'SecRule\u00a0ARGS "@rx a" "id:1"',
        "odd-blank",
        1,
        8,
        "a special blank (U+00A0), as web pages and word processors make them",
    ),
    (
        'SecRule ARGS\u00a0"@rx a" "id:1"',
        "odd-blank",
        1,
        13,
        "a special blank (U+00A0), as web pages and word processors make them",
    ),
    ("SecAction", "missing-actions", 1, 10, "SecAction has no actions"),
    ("SecDefaultAction ", "missing-actions", 1, 17, "SecDefaultAction has no actions"),
    ('SecAction ""', "empty-actions", 1, 12, "the list of actions is empty"),
    ('SecAction id:1,deny"', "missing-quote", 1, 11, "the quote before the actions is missing"),
    ('SecAction "id:1" deny', "surplus-argument", 1, 18, "unexpected 'deny': SecAction takes one list of actions"),
    ("SecMarker", "missing-label", 1, 10, "SecMarker has no label"),
    ('SecMarker ""', "missing-label", 1, 11, "SecMarker has an empty label"),
    ("SecMarker END OF", "surplus-argument", 1, 15, "unexpected 'OF': SecMarker takes one label"),
    ("SecDataset d `\na\n", "unclosed-quote", 1, 14, "this backtick is never closed"),
    ('SecX "a"b', "text-after-quote", 1, 9, "unexpected 'b' behind the closing quote"),
    (
        "<IfModule mod_security2.c>\nSecMarker A\n</IfModule>",
        "apache-section",
        1,
        1,
        "<IfModule> is a section of Apache's configuration, not SecLang",
    ),
    (
        "SecMarker A\n</IfModule>",
        "apache-section",
        2,
        1,
        "</IfModule> is a section of Apache's configuration, not SecLang",
    ),
    ("= 5", "not-a-directive", 1, 1, "expected a directive, got '= 5'"),
    ("SecMarker A\n  phase:2,\\\n  deny", "not-a-directive", 2, 3, "expected a directive, got 'phase:2,deny'"),
    (
        "SecMarker A \\\nSecMarker B",
        "stray-backslash",
        2,
        1,
        "the directive SecMarker is joined to the one above, whose last line ends with a backslash",
    ),
    (
        'SecRuleEngine On \\\n\nSecAction "id:1"',
        "stray-backslash",
        3,
        1,
        "the directive SecAction is joined to the one above, whose last line ends with a backslash",
    ),
]


@pytest.mark.parametrize(("text", "code", "line", "column", "message"), FAULTS)
def test_each_fault_has_its_text_and_its_place(text: str, code: str, line: int, column: int, message: str):
    _, diagnostics = parse(text, "f.conf")

    assert [(d.code, d.span, d.message) for d in diagnostics] == [(code, Span("f.conf", line, column), message)]
    assert diagnostics[0].severity is Severity.ERROR
    assert diagnostics[0].hint
    assert diagnostics[0].source_line == text.split("\n")[line - 1]


def test_a_fault_as_people_see_it():
    _, [fault] = parse('SecRule ARGS "@rx a" \\\n    "id:1,\\\n    msg:\'It\'s bad\',\\\n    deny"\n', "my.conf")

    assert fault.render() == (
        'my.conf:3:13: error: unexpected "s bad\',deny" behind the closing quote [text-after-quote]\n'
        "        msg:'It's bad',\\\n"
        "                ^\n"
        "  hint: write \\' for an apostrophe inside the text, and a comma behind its closing quote"
    )


def test_all_faults_of_a_text_are_found_and_what_is_right_is_kept():
    lines = [
        "SecRule ARGS",
        'SecRule ARGS||TX "@rx(" "id:1,,deny,"',  # four faults in one rule
        'SecRule ARGS "@rx a" "id:2',
        "    phase:2,",  # the remains of the rule above: not reported
        '    deny"',
        "SecMarker A",
        'SecRule ARGS "@rx a" \\',
        '    "id:3,\\',
        "    deny\\",
        'SecAction "id:4"',  # joined to an open quote; found again
        'SecRule ARGS "@rx a" "id:5"',
    ]
    nodes, diagnostics = parse("\n".join(lines), "f")

    assert [(d.code, d.span.line) for d in diagnostics] == [
        ("missing-operator", 1),
        ("empty-variable", 2),
        ("bad-operator", 2),
        ("empty-action", 2),
        ("empty-action", 2),
        ("unclosed-quote", 3),
        ("text-after-quote", 8 + 2),
    ]
    assert SecMarker("A") in nodes
    assert rule("a", (ActionRef("id", "5"),)) in nodes


def test_reading_goes_on_at_the_directive_that_a_stray_backslash_joined():
    nodes, diagnostics = parse('SecMarker A \\\n\nSecMarker B\nSecRuleEngine On\\\nSecAction "id:1"', "f")

    assert [d.code for d in diagnostics] == ["stray-backslash"]
    assert nodes[0] == SecMarker("B")


def test_a_directive_has_a_bounded_length():
    text = f'SecRule ARGS "@rx {"a" * MAX_DIRECTIVE}" "id:1"'
    nodes, [fault] = parse(text + "\nSecMarker A", "f")

    assert nodes == (SecMarker("A"),)
    assert (fault.code, fault.span) == ("directive-too-long", Span("f", 1))


def test_a_directive_has_a_bounded_number_of_arguments():
    nodes, [fault] = parse("SecRuleRemoveById" + " 1" * (MAX_ARGUMENTS + 1), "f")

    assert nodes == ()
    assert fault.code == "too-many-arguments"


def test_a_text_that_is_no_rules_gives_a_bounded_number_of_faults():
    _, diagnostics = parse("SecRule\n" * 10_000, "f")

    assert len(diagnostics) == MAX_DIAGNOSTICS + 1
    assert diagnostics[-1].code == "too-many-faults"


def test_the_small_parsers_give_places_from_where_their_text_begins():
    span = Span("f", 3, 20)

    assert parse_variables("!ARGS:x|TX", span)[0][1].span == Span("f", 3, 28)
    assert parse_variables("ARGS||TX", span)[1][0].span == Span("f", 3, 25)
    actions, diagnostics = parse_actions("deny,status:403", span)
    assert (actions[1].value_span, diagnostics) == (Span("f", 3, 32), ())
    assert parse_actions("", span)[1][0].code == "empty-actions"
    operator, diagnostics = parse_operator("!@rx a", span)
    assert operator == OperatorRef("rx", "a", negated=True)
    assert diagnostics == ()
    assert parse_operator("@", span)[0] is None


def spans_of(nodes: tuple[Node, ...], diagnostics: tuple[Diagnostic, ...]) -> Iterator[Span]:
    for node in nodes:
        yield node.span
        for part in (*getattr(node, "variables", ()), *getattr(node, "actions", ()), *getattr(node, "arguments", ())):
            yield part.span
            yield getattr(part, "value_span", part.span)
            yield getattr(part, "selector_span", part.span)
        if isinstance(node, SecRule):
            yield node.operator.span
            yield node.operator.argument_span
    for diagnostic in diagnostics:
        yield diagnostic.span


def check_sound(text: str) -> None:
    """Nothing raised, all places inside the text, an error wherever a directive was left out."""
    nodes, diagnostics = parse(text, "f")
    lines = SourceFile("f", text).lines
    for span in spans_of(nodes, diagnostics):
        assert 1 <= span.line <= len(lines)
        assert 1 <= span.column <= len(lines[span.line - 1]) + 1
    for diagnostic in diagnostics:
        assert "\n" not in diagnostic.message
        assert diagnostic.render()


WORDS = ["SecRule ", "SecAction ", "SecMarker ", "SecDataset d `", "Include ", "ARGS", "TX:/a/", "XML:/*", "id:1"]
SIGNS = ["|", "!", "&", '"', "'", "`", "@rx ", "^a", "\\", "\\\n", "\n", "\r\n", " ", "\t", "#", ",", "msg:'x'", ":"]
ODD = ["\u201c", "\u00a0", "\udcff", "\x00", "\x0b", "\u2028", "<IfModule x>", "</IfModule>"]
PIECES = st.sampled_from(WORDS + SIGNS + ODD)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_no_text_raises(text: str):
    check_sound(text)


@given(st.binary(max_size=200))
def test_no_bytes_raise(content: bytes):
    check_sound(content.decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("text", ["\\", "\\\n\\\n", "\\\n#x\n\\", " \\\n\n"])
def test_backslashes_alone_are_nothing(text: str):
    assert parse(text, "f") == ((), ())


def rule_files(folder: Path) -> list[tuple[str, str]]:
    files = [folder / "crs-setup.conf", *sorted((folder / "rules").glob("*.conf"))]
    return [(file.name, file.read_bytes().decode("utf-8", "surrogateescape")) for file in files]


@pytest.mark.corpora
def test_crs_parses_whole_without_a_diagnostic_in_half_a_second(corpora: Path):
    files = rule_files(corpora / "crs")
    spent = []
    for _ in range(3):  # the best of three: the machine has other things to do
        started = time.process_time()
        parsed = [parse(text, name) for name, text in files]
        spent.append(time.process_time() - started)

    assert len(files) == 28
    assert [d.render() for _, diagnostics in parsed for d in diagnostics] == []
    counts = Counter(type(node).__name__ for nodes, _ in parsed for node in nodes)
    assert counts == {"SecRule": 695, "SecAction": 8, "SecMarker": 30, "SecDefaultAction": 5, "Directive": 56}
    assert min(spent) < 0.5


@pytest.mark.corpora
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_crs_files_do_not_raise(corpora: Path, data: st.DataObject):
    texts = [text for name, text in rule_files(corpora / "crs") if len(text) < 30_000]
    text = data.draw(st.sampled_from(texts))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 30)))
        text = text[:start] + data.draw(PIECES) + text[end:]
    check_sound(text)


@pytest.mark.corpora
def test_the_rules_of_coraza_s_profiles_parse(corpora: Path):
    profiles = json.loads((corpora / "corpora/coraza-profiles/profiles.json").read_text("utf-8"))
    directives, codes = 0, []
    for profile in profiles:
        nodes, diagnostics = parse(profile["Rules"], profile["Meta"]["Name"])
        directives += len(nodes)
        codes += [(d.severity, d.code) for d in diagnostics]

    assert (len(profiles), directives) == (45, 393)
    assert codes == [(Severity.WARNING, "unclosed-quote"), (Severity.WARNING, "empty-operator")]


@pytest.mark.corpora
def test_coraza_s_own_samples_parse(corpora: Path):
    files = sorted((corpora / "corpora/coraza-misc").rglob("*.conf"))
    parsed = [parse(file.read_text("utf-8"), file.name) for file in files]

    assert [d.render() for _, diagnostics in parsed for d in diagnostics] == []
    assert (len(files), sum(len(nodes) for nodes, _ in parsed)) == (12, 55)


@pytest.mark.skipif(not DEBIAN_CRS.is_dir(), reason="Debian's package modsecurity-crs is not installed")
def test_crs_3_3_of_debian_parses_without_a_diagnostic():
    files = [Path("/etc/modsecurity/crs/crs-setup.conf"), *sorted(DEBIAN_CRS.glob("*.conf"))]
    parsed = [parse(file.read_bytes().decode("utf-8", "surrogateescape"), file.name) for file in files]
    counts = Counter(type(node).__name__ for nodes, _ in parsed for node in nodes)

    assert [d.render() for _, diagnostics in parsed for d in diagnostics] == []
    assert counts["SecRule"] == 790


def test_a_surrogate_that_no_byte_stands_for_is_a_fault_at_its_place():
    nodes, found = parse('SecRuleEngine On\n  SecRule ARGS "@rx \ud800" "id:1"', "f")

    assert nodes == ()
    assert [(d.code, d.span) for d in found] == [("bad-character", Span("f", 2, 21))]


def test_a_byte_that_is_no_utf_8_is_kept():
    nodes, found = parse('SecRule ARGS "@rx \udcff" "id:1"', "f")

    assert (len(nodes), found) == (1, ())


def test_a_directive_of_very_many_lines_is_given_up_and_reading_goes_on_behind_it():
    """Each fault of a joined directive has its lines read anew: that must not be the whole text each time."""
    text = "SecRule \\\n" * 10_000 + "x\nSecRuleEngine On"
    nodes, found = parse(text, "f")

    assert [(d.code, d.span.line) for d in found] == [("directive-too-long", 1)]
    assert [node.raw for node in nodes if isinstance(node, Directive)] == ["SecRuleEngine On"]

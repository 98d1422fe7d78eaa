"""What a transaction reports: interruptions and matched rules, and their log line.

The line is Coraza's, byte for byte (engine.md 1.9), since scripts and go-ftw look for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from waf_engine.bodies.uri import split_uri
from waf_engine.types import to_text

if TYPE_CHECKING:
    from waf_engine.audit.sanitiser import Sanitiser
    from waf_engine.compiler.plan import CompiledRule

MAX_LOGGED = 280
"""Bytes of msg and data in a log line (Coraza's cut)."""
MAX_MODSECURITY_TEXT, MAX_MODSECURITY_VALUE = 200, 100
"""Characters of a text and of the matched value in libmodsecurity's line."""
MAX_MATCHES_LOGGED = 50
"""Further matches of one rule in its log line; a form of 1,000 bad fields must not write a line of a megabyte."""

SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
PHASE_NAMES = ("", "request-headers", "request-body", "response-headers", "response-body", "logging")
_MODSECURITY_NAMES = {"streq": "StrEq", "strmatch": "StrMatch"}
_VERDICTS = {"deny": "denied", "allow": "allowed", "drop": "dropped", "redirect": "redirected"}


@dataclass(frozen=True, slots=True)
class Interruption:
    """The verdict that ends a transaction.

    Attributes:
        action: ``deny``, ``drop``, ``redirect`` (or a plug-in's).
        status: HTTP status to answer with; 0 when the rule gives none (drop).
        data: the target of a redirect; else empty.
        rule_id: the rule that interrupted; 0 when a limit did.
    """

    action: str
    status: int = 403
    data: str = ""
    rule_id: int = 0


class MatchedValue(NamedTuple):
    """One value on which a rule, or a member of its chain, matched.

    Attributes:
        variable: the variable's name; empty for SecAction.
        key: the member of the collection; empty for a single value.
        value: the value as the operator saw it, after the transformations.
        message: msg, expanded for this match; empty where the rule has none.
        data: logdata, expanded for this match.
        chain_level: 0 for the rule itself, 1 for the first member of its chain, ...
    """

    variable: str
    key: bytes
    value: bytes
    message: str = ""
    data: str = ""
    chain_level: int = 0

    @property
    def name(self) -> str:
        """``ARGS:id``: the full name, as MATCHED_VAR_NAME has it."""
        return f"{self.variable}:{to_text(self.key)}" if self.key else self.variable


class MatchRecord(NamedTuple):
    """A match as a transaction keeps it; `MatchedRule` is made of it when somebody asks."""

    rule: CompiledRule
    matches: tuple[MatchedValue, ...]
    disruptive: bool


@dataclass(frozen=True, slots=True)
class MatchedRule:
    """A rule that matched in a transaction.

    Attributes:
        rule: the rule, with its metadata.
        matches: the values it matched on, chain members' included, in order; at least one.
        disruptive: True when the rule interrupted the transaction.
        action: its disruptive action; empty when it has none.
        client: address of the client.
        server: address of the server.
        uri: REQUEST_URI.
        unique_id: the transaction's id.
        sanitiser: masks values in the texts and lines; None where nothing is to be masked. `matches` and `uri` are
            never masked: see `shown`.
    """

    rule: CompiledRule
    matches: tuple[MatchedValue, ...]
    disruptive: bool
    action: str
    client: str
    server: str
    uri: str
    unique_id: str
    sanitiser: Sanitiser | None = None

    @property
    def shown(self) -> MatchedRule:
        """This match as logs may show it: what sanitise actions name is masked, in the matches and in the URI too."""
        return self if self.sanitiser is None else self.sanitiser.mask(self)

    @property
    def rule_id(self) -> int:
        """The rule's id; 0 for a rule without one."""
        return self.rule.id

    @property
    def phase(self) -> int:
        """The phase in which it matched, 1 to 5."""
        return self.rule.phase

    @property
    def log(self) -> bool:
        """Whether the match is to be logged (``nolog`` says no)."""
        return self.rule.log

    @property
    def audit(self) -> bool:
        """Whether the match is to appear in the audit log."""
        return self.rule.auditlog

    @property
    def message(self) -> str:
        """The rule's msg with its macros expanded: the first match that has one."""
        return next((m.message for m in self.shown.matches if m.message), "")

    @property
    def data(self) -> str:
        """The rule's logdata with its macros expanded: the first match that has one."""
        return next((m.data for m in self.shown.matches if m.data), "")

    @property
    def severity(self) -> int | None:
        """0 (emergency) to 7 (debug); None when the rule has none."""
        return self.rule.severity

    @property
    def severity_name(self) -> str:
        """The severity's word; empty when the rule has none."""
        return "" if self.rule.severity is None else SEVERITIES[self.rule.severity]

    @property
    def tags(self) -> tuple[str, ...]:
        """The rule's tags, in order."""
        return self.rule.tags

    @property
    def file(self) -> str:
        """The file of the rule."""
        return self.rule.span.file

    @property
    def line(self) -> int:
        """The line of the rule."""
        return self.rule.span.line

    def coraza_line(self) -> str:
        """The log line as Coraza writes it, without a time stamp or a line end."""
        if self.sanitiser is not None:
            return self.shown.coraza_line()
        verdict = "Warning."
        if self.disruptive:
            verdict = f"Access {_VERDICTS.get(self.action, 'denied')} (phase {self.phase})."
        rule = self.rule
        fields = [
            ("file", self.file),
            ("line", str(self.line)),
            ("id", str(rule.id)),
            ("rev", rule.rev),
            ("msg", cut(self.matches[0].message)),
            ("data", cut(self.matches[0].data)),
            ("severity", self.severity_name or "emergency"),
            ("ver", rule.ver),
            ("maturity", str(rule.maturity)),
            ("accuracy", str(rule.accuracy)),
            *(("tag", tag) for tag in rule.tags),
            ("hostname", self.server),
            ("uri", self.uri),
            ("unique_id", self.unique_id),
        ]
        head = escape_controls(f"[client {go_quote(self.client)}] Coraza: {verdict} {cut(self.message)} ")
        line = head + " ".join(f"[{name} {go_quote(value)}]" for name, value in fields)
        return line + "".join(
            f"[msg_match_{n} {go_quote(cut(m.message))}] [data_match_{n} {go_quote(cut(m.data))}]"
            for n, m in enumerate(self.matches[: MAX_MATCHES_LOGGED + 1])
            if n and (m.message or m.data)
        )

    def modsecurity_line(self) -> str:
        """The log line as libmodsecurity writes it; ``ref`` is empty, for positions in the request are not kept.

        Like libmodsecurity it shows the last value that matched. Double quotes in fields are escaped.
        """
        if self.sanitiser is not None:
            return self.shown.modsecurity_line()
        rule, last = self.rule, self.matches[-1]
        member = rule
        for _ in range(last.chain_level):
            member = member.chain or member
        verdict = "ModSecurity: Warning. "
        if self.disruptive and self.action != "allow":
            status = rule.disruption.status if rule.disruption is not None else 0
            verdict = f"[client {self.client}] ModSecurity: Access denied with code {status} (phase {self.phase}). "
        path = split_uri(self.uri.encode("utf-8", "surrogateescape")).filename
        fields = [
            ("file", self.file),
            ("line", str(self.line)),
            ("id", str(rule.id)),
            ("rev", rule.rev),
            ("msg", last.message or self.message),
            ("data", _limited(last.data or self.data, MAX_MODSECURITY_TEXT)),
            ("severity", str(rule.severity or 0)),
            ("ver", rule.ver),
            ("maturity", str(rule.maturity)),
            ("accuracy", str(rule.accuracy)),
            *(("tag", tag) for tag in rule.tags),
            ("hostname", self.server),
            ("uri", _limited(to_text(path), MAX_MODSECURITY_TEXT)),
            ("unique_id", self.unique_id),
            ("ref", ""),
        ]
        return verdict + _matched_text(member, last) + " ".join(f'[{k} "{_hex_escape(v)}"]' for k, v in fields)

    def to_dict(self) -> dict[str, Any]:
        """The fields of the JSON match object of coraza-spoa (compatibility.md 3.4), and the matched values."""
        if self.sanitiser is not None:
            return self.shown.to_dict()
        rule = self.rule
        return {
            "client": self.client,
            "file": self.file,
            "line": self.line,
            "rule_id": rule.id,
            "revision": rule.rev,
            "msg": printable(self.message),
            "data": printable(self.data),
            "severity": self.severity_name or "emergency",
            "severity_id": rule.severity or 0,
            "version": rule.ver,
            "maturity": rule.maturity,
            "accuracy": rule.accuracy,
            "tags": list(rule.tags),
            "server": self.server,
            "uri": printable(self.uri),
            "unique_id": self.unique_id,
            "disruptive": self.disruptive,
            "phase_id": self.phase,
            "phase": PHASE_NAMES[self.phase],
            "matches": [
                {"variable": printable(m.name), "value": printable(to_text(m.value[:MAX_LOGGED]))}
                for m in self.matches[:MAX_MATCHES_LOGGED]
            ],
        }


def _matched_text(rule: CompiledRule, match: MatchedValue) -> str:
    """``Matched "Operator `Rx' with parameter `x' against variable `ARGS:a' (Value: `x' ) ``; a blank for SecAction."""
    if rule.operator is None:
        return " "
    name = _MODSECURITY_NAMES.get(rule.operator.name.lower()) or rule.operator.name[:1].upper() + rule.operator.name[1:]
    parameter = _hex_escape(_limited(rule.operator.argument, MAX_MODSECURITY_TEXT))
    value = _hex_escape(_limited(to_text(match.value[:MAX_LOGGED]), MAX_MODSECURITY_VALUE, len(match.value)))
    variable = _hex_escape(match.name)
    operator = f"Operator `{name}' with parameter `{parameter}'"
    return f"Matched \"{operator} against variable `{variable}' (Value: `{value}' ) "


def _limited(text: str, most: int, length: int = 0) -> str:
    """A text cut as libmodsecurity cuts it; the length is the whole text's where only its beginning is given."""
    length = length or len(text)
    return text if length <= most else f"{text[:most]} ({length - most} characters omitted)"


def _hex_escape(text: str) -> str:
    r"""Text on one line without double quotes: ``\x0a`` for a byte that is not printable ASCII."""
    if text.isascii() and text.isprintable() and '"' not in text:
        return text
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x22 else f"\\x{b:02x}" for b in data)


def cut(text: str) -> str:
    """The first `MAX_LOGGED` bytes of a text, be they half a character (Coraza cuts so)."""
    if len(text) * 4 <= MAX_LOGGED:
        return text
    return to_text(text.encode("utf-8", "surrogateescape")[:MAX_LOGGED])


def printable(text: str) -> str:
    r"""Text that can be written to a UTF-8 file: bytes that were not UTF-8 as ``\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def escape_controls(text: str) -> str:
    """Text that stays on one line whatever a client sent."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else go_quote(c)[1:-1] for c in text)


_GO_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip


def go_quote(text: str) -> str:
    """Text in double quotes, escaped as Go's ``%q`` does it; bytes that were not UTF-8 appear as hex."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    parts = []
    for char in text:
        code = ord(char)
        if escaped := _GO_ESCAPES.get(char):
            parts.append(escaped)
        elif 0xDC80 <= code <= 0xDCFF:
            parts.append(f"\\x{code - 0xDC00:02x}")
        elif char.isprintable():
            parts.append(char)
        elif code < 0x80:
            parts.append(f"\\x{code:02x}")
        elif code < 0x10000:
            parts.append(f"\\u{code:04x}")
        else:
            parts.append(f"\\U{code:08x}")
    return '"' + "".join(parts) + '"'

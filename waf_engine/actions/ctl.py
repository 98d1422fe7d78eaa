"""``ctl``: changes to the engine for the rest of one transaction (engine.md 1.6).

Each option is one entry of `OPTIONS`, a function from its value to an effect. State goes to the
transaction, never to the plan. A ``ctl`` acts from the next rule on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.actions.registry import ActionKind, Value, action
from waf_engine.compiler.effects import noted
from waf_engine.compiler.plan import id_range
from waf_engine.diagnostics import ArgumentError
from waf_engine.settings import EngineMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from waf_engine.compiler.draft import ActionContext, RuleDraft
    from waf_engine.compiler.plan import CompiledRule, Effect, Exclusion
    from waf_engine.runtime.transaction import Transaction

    Option = Callable[[str, ActionContext], Effect]
    Ids = Callable[[Transaction], Iterable[int]]

BEFORE_BODY = 1
"""The last phase in which what concerns the request's body can be changed."""
BEFORE_RESPONSE_BODY = 3
"""The last phase in which what concerns the response's body can be changed."""
LAST = 5


def _choice(value: str, choices: Iterable[str]) -> str:
    words = {word.lower(): word for word in choices}
    if value.lower() not in words:
        raise ArgumentError(f"expected {' or '.join(words.values())}, got {value!r}")
    return words[value.lower()]


def _number(value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 15:
        raise ArgumentError(f"expected a number of bytes, got {value!r}")
    return int(value)


def _id_ranges(text: str) -> list[tuple[int, int]]:
    ranges = []
    for piece in text.replace(",", " ").split():
        if (found := id_range(piece)) is None:
            raise ArgumentError(f"expected a rule id or a range such as 910000-910999, got {piece!r}")
        ranges.append(found)
    if not ranges:
        raise ArgumentError("expected a rule id or a range such as 910000-910999")
    return ranges


def _by_id(text: str) -> Ids:
    ranges = _id_ranges(text)
    return lambda tx: [i for first, last in ranges for i in tx.plan.ids_between(first, last)]


def _by_tag(text: str) -> Ids:
    return lambda tx: tx.plan.ids_by_tag.get(text, ())


def _by_msg(text: str) -> Ids:
    return lambda tx: tx.plan.ids_by_msg.get(text, ())


def _remove_rules(ids: Ids) -> Effect:
    def remove(tx: Transaction, _rule: CompiledRule) -> None:
        tx.removed_ids.update(ids(tx))

    return remove


def _remove_targets(value: str, context: ActionContext, select: Callable[[str], Ids]) -> Effect:
    what, semicolon, targets = value.partition(";")
    if not semicolon or not targets:
        raise ArgumentError(f"expected RULES;TARGETS, got {value!r}", hint="for example 942100;ARGS:comment")
    ids = select(what.strip())
    exclusions: Sequence[Exclusion] = context.exclusions(targets, len(what) + 1)

    found = tuple(exclusions)

    def remove(tx: Transaction, _rule: CompiledRule) -> None:
        removed = tx.removed_targets
        if not removed:
            tx.removed_targets = dict.fromkeys(ids(tx), found)
            return
        for rule_id in ids(tx):
            removed[rule_id] = (*removed.get(rule_id, ()), *found)

    return remove


def _rule_remove_by_id(value: str, _context: ActionContext) -> Effect:
    return _remove_rules(_by_id(value))


def _rule_remove_by_tag(value: str, _context: ActionContext) -> Effect:
    return _remove_rules(_by_tag(value))


def _rule_remove_by_msg(value: str, _context: ActionContext) -> Effect:
    return _remove_rules(_by_msg(value))


def _rule_remove_target_by_id(value: str, context: ActionContext) -> Effect:
    return _remove_targets(value, context, _by_id)


def _rule_remove_target_by_tag(value: str, context: ActionContext) -> Effect:
    return _remove_targets(value, context, _by_tag)


def _rule_remove_target_by_msg(value: str, context: ActionContext) -> Effect:
    return _remove_targets(value, context, _by_msg)


def _rule_engine(value: str, _context: ActionContext) -> Effect:
    mode = EngineMode(_choice(value, EngineMode))

    def switch(tx: Transaction, _rule: CompiledRule) -> None:
        tx.engine = mode

    return switch


def _audit_engine(value: str, _context: ActionContext) -> Effect:
    mode = _choice(value, ("On", "Off", "RelevantOnly"))

    def switch(tx: Transaction, _rule: CompiledRule) -> None:
        tx.audit_engine = mode

    return switch


def _audit_log_parts(value: str, _context: ActionContext) -> Effect:
    if not value or not value.lstrip("+-").isalpha():
        raise ArgumentError(f"expected parts such as +E or ABCFHZ, got {value!r}")

    def switch(tx: Transaction, _rule: CompiledRule) -> None:
        parts = tx.audit_log_parts or ""
        if value[0] == "+":
            tx.audit_log_parts = parts + "".join(p for p in value[1:].upper() if p not in parts)
        elif value[0] == "-":
            tx.audit_log_parts = "".join(p for p in parts if p not in value[1:].upper())
        else:
            tx.audit_log_parts = value.upper()

    return switch


def _attribute(attribute: str, value: object, last_phase: int) -> Effect:
    """An effect that sets an attribute of the transaction, up to a phase; later it does nothing."""

    def switch(tx: Transaction, _rule: CompiledRule) -> None:
        if tx.phase <= last_phase:
            setattr(tx, attribute, value)

    return switch


def _on_off(attribute: str, last_phase: int) -> Option:
    def option(value: str, _context: ActionContext) -> Effect:
        return _attribute(attribute, _choice(value, ("On", "Off")) == "On", last_phase)

    return option


def _bytes_limit(attribute: str, last_phase: int) -> Option:
    def option(value: str, _context: ActionContext) -> Effect:
        return _attribute(attribute, _number(value), last_phase)

    return option


def _debug_log_level(value: str, _context: ActionContext) -> Effect:
    if value not in set("0123456789"):
        raise ArgumentError(f"expected a level from 0 to 9, got {value!r}")
    return _attribute("debug_log_level", int(value), LAST)


def _request_body_processor(value: str, _context: ActionContext) -> Effect:
    name = value.upper()

    def switch(tx: Transaction, _rule: CompiledRule) -> None:
        if tx.phase <= BEFORE_BODY:
            tx.request.processor = name

    return switch


def _response_body_processor(value: str, _context: ActionContext) -> Effect:
    name = value.upper()

    def switch(tx: Transaction, _rule: CompiledRule) -> None:
        if tx.phase <= BEFORE_RESPONSE_BODY:
            tx.response.processor = name

    return switch


def _ignored(_value: str, context: ActionContext) -> Effect:
    context.warn("this ctl option has no effect here")
    return lambda _tx, _rule: None


OPTIONS: dict[str, Option] = {
    "ruleRemoveById": _rule_remove_by_id,
    "ruleRemoveByTag": _rule_remove_by_tag,
    "ruleRemoveByMsg": _rule_remove_by_msg,
    "ruleRemoveTargetById": _rule_remove_target_by_id,
    "ruleRemoveTargetByTag": _rule_remove_target_by_tag,
    "ruleRemoveTargetByMsg": _rule_remove_target_by_msg,
    "ruleEngine": _rule_engine,
    "auditEngine": _audit_engine,
    "auditLogParts": _audit_log_parts,
    "requestBodyAccess": _on_off("request_body_access", BEFORE_BODY),
    "requestBodyLimit": _bytes_limit("request_body_limit", BEFORE_BODY),
    "requestBodyProcessor": _request_body_processor,
    "forceRequestBodyVariable": _on_off("force_request_body_variable", BEFORE_BODY),
    "responseBodyAccess": _on_off("response_body_access", BEFORE_RESPONSE_BODY),
    "responseBodyLimit": _bytes_limit("response_body_limit", BEFORE_RESPONSE_BODY),
    "responseBodyProcessor": _response_body_processor,
    "forceResponseBodyVariable": _on_off("force_response_body_variable", BEFORE_RESPONSE_BODY),
    "debugLogLevel": _debug_log_level,
    "hashEngine": _ignored,
    "hashEnforcement": _ignored,
}
_FOLDED = {name.lower(): option for name, option in OPTIONS.items()}


@action("ctl", ActionKind.NON_DISRUPTIVE, Value.REQUIRED)
def ctl(draft: RuleDraft, value: str, context: ActionContext) -> None:
    """``ctl:ruleRemoveById=942100``: see `OPTIONS`."""
    name, equals, argument = value.partition("=")
    option = _FOLDED.get(name.strip().lower())
    if option is None or not equals:
        raise ArgumentError(f"ctl takes OPTION=VALUE with one of {', '.join(OPTIONS)}; got {value!r}")
    try:
        draft.effects.append(noted(option(argument.strip(), context)))
    except ArgumentError as error:
        error.offset += len(name) + 1
        raise

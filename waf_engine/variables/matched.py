"""Variables that tell of matches: the last one, those of the running rule, and the rule itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.runtime.match import SEVERITIES
from waf_engine.types import encode_argument
from waf_engine.variables.registry import collection, flag, scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry


@scalar("MATCHED_VAR", volatile=True)
def matched_var(tx: Transaction) -> bytes:
    """The value of the last match; empty before the first."""
    return tx.matched_var[1] if tx.matched_var else b""


@scalar("MATCHED_VAR_NAME", volatile=True)
def matched_var_name(tx: Transaction) -> bytes:
    """The full name of what matched last: ``ARGS:id``."""
    return encode_argument(tx.matched_var[0]) if tx.matched_var else b""


@collection("MATCHED_VARS", volatile=True)
def matched_vars(tx: Transaction) -> Sequence[Entry]:
    """The values that the running rule and its chain matched so far, by full name."""
    return list(tx.matched_vars)


@collection("MATCHED_VARS_NAMES", volatile=True)
def matched_vars_names(tx: Transaction) -> Sequence[Entry]:
    """The full names of what the running rule and its chain matched so far."""
    return [(name, name) for name, _ in tx.matched_vars]


@collection("RULE", volatile=True)
def rule(tx: Transaction) -> Sequence[Entry]:
    """The running rule, in a chain its first: id, msg, rev, severity, logdata, as written."""
    running = tx.rule
    if running is None:
        return ()
    texts = {
        b"id": str(running.id),
        b"msg": str(running.msg or ""),
        b"rev": running.rev,
        b"severity": "" if running.severity is None else SEVERITIES[running.severity],
        b"logdata": str(running.logdata or ""),
    }
    return [(key, encode_argument(text)) for key, text in texts.items()]


@scalar("HIGHEST_SEVERITY", volatile=True)
def highest_severity(tx: Transaction) -> bytes:
    """The smallest severity number of the rules that matched; 255 before any."""
    return b"%d" % tx.highest_severity


@scalar("MSC_PCRE_LIMITS_EXCEEDED", volatile=True)
def msc_pcre_limits_exceeded(tx: Transaction) -> bytes:
    """Whether a pattern reached its bound in this transaction."""
    return flag(tx.limits.get("pcre"))


@scalar("MSC_PCRE_ERROR", volatile=True)
def msc_pcre_error(tx: Transaction) -> bytes:
    """Whether a pattern failed in this transaction; the bound is the only way it can."""
    return flag(tx.limits.get("pcre"))

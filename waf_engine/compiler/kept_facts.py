"""Facts about patterns on disk, beside the databases: one file for the patterns of a rule set.

The file is named by a hash of the patterns and of all that facts depend on: the sources of the functions that find them
and the version of Python, whose parser of patterns they use. It is read and written by `runtime/kept_files.py`,
with all its precautions; its content is JSON. What cannot be read is worked out anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from waf_engine.compiler.facts import Facts, sources
from waf_engine.operators import Kind, hint_of
from waf_engine.runtime.kept_files import read_kept, write_kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from waf_engine.compiler.facts import Answer, Question
    from waf_engine.compiler.plan import CompiledRule

KIND: Final = b"spoa-waf facts 1\n"


@contextmanager
def facts_of(rules: Iterable[CompiledRule], folder: Path | None) -> Iterator[None]:
    """While the body runs, facts about the patterns of some rules are those of an earlier start, and remembered.

    Args:
        rules: the rules of a rule set.
        folder: where facts are kept; None for nowhere.
    """
    path = None if folder is None else _path(rules, folder)
    facts = Facts(None if path is None else _load(path))
    with facts.in_use():
        yield
    if path is not None and facts.grown:
        # A full or read-only disk costs time at the next start, no more.
        with contextlib.suppress(OSError):
            write_kept(path, KIND, _written(facts))


def _path(rules: Iterable[CompiledRule], folder: Path) -> Path | None:
    """The file of a rule set; None where it has no patterns, or where the code that finds facts cannot be read."""
    hints = (hint_of(m.operator.test) for rule in rules for m in rule.members() if m.operator is not None)
    patterns = {hint.patterns[0] for hint in hints if hint is not None and hint.kind is Kind.REGEX}
    if not patterns:
        return None
    digest = hashlib.sha256(KIND + sys.version.encode())
    try:
        for source in sources():
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    except OSError:
        return None
    for pattern in sorted(patterns):
        digest.update(hashlib.sha256(pattern).digest())
    return folder / f"{digest.hexdigest()}.facts"


def _load(path: Path) -> dict[bytes, dict[Question, Answer]]:
    """Facts from their file, by pattern and question; none where there is none, or it is damaged."""
    content = read_kept(path, KIND)
    if content is None:
        return {}
    try:
        return {
            pattern.encode("latin-1"): {
                (name, alphabet.encode("latin-1")): answer.encode("latin-1") if isinstance(answer, str) else answer
                for name, alphabet, answer in answers
            }
            for pattern, answers in json.loads(content)
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def _written(facts: Facts) -> bytes:
    """Facts as they are on disk; bytes as Latin-1 texts, of which no fact is one."""
    rows: list[Any] = [
        [
            pattern.decode("latin-1"),
            [
                [name, alphabet.decode("latin-1"), answer.decode("latin-1") if isinstance(answer, bytes) else answer]
                for (name, alphabet), answer in facts.known[pattern].items()
            ],
        ]
        for pattern in sorted(facts.known)
    ]
    return json.dumps(rows, separators=(",", ":")).encode()

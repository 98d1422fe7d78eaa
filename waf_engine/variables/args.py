"""ARGS and its parts: arguments of the query string, of the body and of the path, in the order of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.variables.registry import collection, scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from waf_engine.runtime.transaction import Transaction
    from waf_engine.types import Entry


def _names(entries: Sequence[Entry]) -> list[Entry]:
    return [(name, name) for name, _ in entries]


@collection("ARGS", phase=2)
def args(tx: Transaction) -> Sequence[Entry]:
    """All arguments: query string, then body, then path."""
    request = tx.request
    return [*request.args_get, *request.args_post, *request.args_path]


@collection("ARGS_NAMES", phase=2)
def args_names(tx: Transaction) -> Sequence[Entry]:
    """The names of all arguments; key and value are the name."""
    return _names(args(tx))


@collection("ARGS_GET")
def args_get(tx: Transaction) -> Sequence[Entry]:
    """Arguments of the query string."""
    return tx.request.args_get


@collection("ARGS_GET_NAMES")
def args_get_names(tx: Transaction) -> Sequence[Entry]:
    """Names of the arguments of the query string."""
    return _names(tx.request.args_get)


@collection("ARGS_POST", phase=2)
def args_post(tx: Transaction) -> Sequence[Entry]:
    """Arguments of the body, of whatever form the body is."""
    return tx.request.args_post


@collection("ARGS_POST_NAMES", phase=2)
def args_post_names(tx: Transaction) -> Sequence[Entry]:
    """Names of the arguments of the body."""
    return _names(tx.request.args_post)


@collection("ARGS_PATH", volatile=True)
def args_path(tx: Transaction) -> Sequence[Entry]:
    """Parts of the path that ``@restpath`` named."""
    return tx.request.args_path


@scalar("ARGS_COMBINED_SIZE", phase=2)
def args_combined_size(tx: Transaction) -> bytes:
    """Bytes of all names and values together."""
    return b"%d" % sum(len(name) + len(value) for name, value in args(tx))

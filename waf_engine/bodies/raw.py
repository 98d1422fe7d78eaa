"""RAW: a body without structure; REQUEST_BODY holds it (engine.md 1.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.bodies.registry import body_processors
from waf_engine.types import BodyResult

if TYPE_CHECKING:
    from waf_engine.types import BodyContext


@body_processors.register("RAW")
def process_raw(body: bytes, context: BodyContext) -> BodyResult:  # noqa: ARG001  every processor is called alike
    """The body processor that only exposes the body."""
    return BodyResult(expose_body=True)

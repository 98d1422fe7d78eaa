"""The registry of body processors; the family files add to it, `waf_engine.bodies` exports it.

It stands in a file of its own so that a family file can import it without importing its siblings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.registry import Registry

if TYPE_CHECKING:
    from waf_engine.types import BodyProcessor

body_processors: Registry[BodyProcessor] = Registry("body processor")

"""Body processors (engine.md 1.7): from the bytes of a body to the members of collections.

Each family file parses one format and registers itself in `body_processors`; `cookies` and `uri` do the
same kind of work for the Cookie header and the request target. Nothing here knows a transaction.
"""

from __future__ import annotations

from waf_engine.bodies import json, multipart, raw, urlencoded, xml
from waf_engine.bodies.registry import body_processors

FAMILIES = (json, multipart, raw, urlencoded, xml)
"""The files that register processors; a test compares this list with the folder."""

HELPERS = ("cookies", "json_reader", "markup", "parameters", "part_headers", "registry", "uri")
"""The other files of the folder."""

__all__ = ["FAMILIES", "HELPERS", "body_processors"]

"""Directives that set the engine as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.diagnostics import ArgumentError
from waf_engine.directives.registry import choice, directive, number, one
from waf_engine.settings import EngineMode
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from waf_engine.compiler.state import State
    from waf_engine.seclang.ast import Directive


@directive("SecRuleEngine")
def sec_rule_engine(state: State, node: Directive) -> None:
    """``SecRuleEngine On|Off|DetectionOnly``."""
    state.settings["rule_engine"] = EngineMode(choice(node, EngineMode))


@directive("SecComponentSignature")
def sec_component_signature(state: State, node: Directive) -> None:
    """``SecComponentSignature "NAME/VERSION"``: what rule set this is; may stand more than once."""
    state.settings["component_signatures"] = (*state.settings["component_signatures"], one(node))


@directive("SecServerSignature")
def sec_server_signature(state: State, node: Directive) -> None:
    """``SecServerSignature TEXT``: the server's name in the audit log."""
    state.settings["server_signature"] = one(node)


@directive("SecSensorId")
def sec_sensor_id(state: State, node: Directive) -> None:
    """``SecSensorId TEXT``."""
    state.settings["sensor_id"] = one(node)


@directive("SecWebAppId")
def sec_web_app_id(state: State, node: Directive) -> None:
    """``SecWebAppId TEXT``: the name space of persistent collections."""
    state.settings["web_app_id"] = one(node)


@directive("SecCollectionTimeout")
def sec_collection_timeout(state: State, node: Directive) -> None:
    """``SecCollectionTimeout SECONDS``: how long a persistent collection lives after its last change."""
    state.settings["collection_timeout"] = number(node, least=1)


@directive("SecPcreMatchLimit", "SecPcreMatchLimitRecursion")
def sec_pcre_match_limit(state: State, node: Directive) -> None:
    """``SecPcreMatchLimit STEPS``: the bound on patterns that RE2 does not take; the recursion limit is the same."""
    limit = number(node, least=1)
    if node.name.lower() == "secpcrematchlimit":
        state.settings["pcre_match_limit"] = limit


@directive("SecGeoLookupDb")
def sec_geo_lookup_db(state: State, node: Directive) -> None:
    """``SecGeoLookupDb /usr/share/GeoIP/GeoLite2-City.mmdb``: the data base of the @geoLookup rules after it."""
    state.settings["geo_database"] = one(node)


@directive("SecDataset")
def sec_dataset(state: State, node: Directive) -> None:
    """``SecDataset NAME `LINES```: a list for @pmFromDataset and @ipMatchFromDataset."""
    if len(node.arguments) != 2:
        raise ArgumentError(
            f"SecDataset takes a name and a list, got {len(node.arguments)} arguments", code="argument-count"
        )
    name, text = (argument.text for argument in node.arguments)
    lines = (line.strip() for line in text.splitlines())
    state.datasets[name] = tuple(encode_argument(line) for line in lines if line and not line.startswith("#"))

"""What would run with a configuration and its rules, told to people and to scripts by `check`.

Here: settings to words. Not here: finding faults, printing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from adapters.config_model import ApplicationConfig, Config, Listener, Rotation, SharedConfig
    from adapters.rule_sets import RuleSet


def summary(path: str | Path, config: Config, rule_sets: Mapping[str, RuleSet]) -> dict[str, Any]:
    """What would run, for scripts: plain values, to be written as JSON."""
    rotation = config.rotation
    return {
        "valid": True,
        "config": str(path),
        "form": config.generation,
        "listen": [str(bind) for bind in config.binds],
        "listeners": [{"bind": str(each.bind), "tls": tls_of(each)} for each in config.listeners],
        "workers": config.workers or "auto",
        "autoreload": config.autoreload,
        "drain_timeout_ms": round(config.drain_timeout * 1000),
        "metrics": None if config.metrics is None else str(config.metrics),
        "cache_folder": config.cache_folder,
        "serve_while_compiling": config.serve_while_compiling,
        "shared": None if config.shared is None else without_password(config.shared),
        "logs": [*dict.fromkeys(sink.path for sink in config.log.sinks)],
        "log_rotation": None if rotation is None else _rotation(rotation),
        "applications": [_application(config, each, rule_sets[each.name]) for each in config.applications],
    }


def _application(config: Config, application: ApplicationConfig, rules: RuleSet) -> dict[str, Any]:
    plan, budget = rules.waf.plan, application.budget
    return {
        "name": application.name,
        "default": application.name == config.default_application,
        "hosts": list(application.hosts),
        "rules": plan.rule_count,
        "engine": str(plan.settings.rule_engine),
        "embedded": rules.embedded,
        "response_check": application.response_check,
        "detect_only": application.detect_only,
        "trusted_proxies": [str(network) for network in application.trusted_proxies],
        "skip": {"paths": list(application.skip.paths), "content_types": list(application.skip.content_types)},
        "block_page": application.block_page or None,
        "budget_ms": budget.milliseconds or None,
        "shares_rules_with": _sharers(config, application),
        "files": list(plan.files),
    }


def describe(path: str | Path, config: Config, rule_sets: Mapping[str, RuleSet]) -> Iterator[str]:
    """What would run, for people, line by line; what is as it would be without saying so is left out."""
    yield f"{path} is valid (form {config.generation})"
    for index, listener in enumerate(config.listeners):
        yield f"  {'listens on' if not index else '':12}  {listener.bind}{_in_words(tls_of(listener))}"
    logs = ", ".join(dict.fromkeys(sink.path for sink in config.log.sinks))
    yield f"  logs to       {logs}{_rotated(config.rotation)}"
    if config.workers != 1:
        yield f"  workers       {config.workers or 'one for each core'}"
    if config.autoreload:
        yield "  reloads       when a file of the configuration or the rules changes"
    if config.metrics is not None:
        yield f"  metrics       http://{config.metrics}/metrics"
    if config.shared is not None:
        yield f"  shares by     {without_password(config.shared)}, waiting at most {config.shared.timeout * 1000:g} ms"
    if config.cache_folder is not None:
        yield f"  patterns in   {config.cache_folder}"
    if not config.serve_while_compiling:
        yield "  waits         for its patterns to be compiled before it listens"
    for application in config.applications:
        yield from _application_lines(config, application, rule_sets[application.name])


def _application_lines(config: Config, application: ApplicationConfig, rules: RuleSet) -> Iterator[str]:
    plan, budget, skip = rules.waf.plan, application.budget, application.skip
    default = ", the default" if application.name == config.default_application else ""
    yield f"  application   {application.name}{default}"
    if application.hosts:
        yield f"    hosts       {', '.join(application.hosts)}"
    yield f"    rules       {plan.rule_count}" + (", embedded (no include)" if rules.embedded else "")
    if first := _sharers(config, application)[:1]:
        yield f"    shared      these are the rules of {first[0]}, loaded once"
    engine = "; detect_only: it never blocks" if application.detect_only else ""
    yield f"    engine      {plan.settings.rule_engine}{engine}"
    waits = f"a request waits {application.ttl:g} s for its response, at most {application.active_limit} do"
    yield f"    responses   {f'checked; {waits}' if application.response_check else 'not checked'}"
    if application.trusted_proxies:
        networks = ", ".join(map(str, application.trusted_proxies))
        yield f"    clients     as {application.client_address_header} of {networks} says"
    if skip.paths or skip.content_types:
        bodies = [f"bodies of {kind}" for kind in skip.content_types]
        yield f"    skips       {', '.join((*skip.paths, *bodies))}"
    if application.block_page:
        yield f"    block page  {application.block_page}"
    if budget.milliseconds:
        yield f"    budget      {budget.milliseconds:g} ms of CPU for a transaction, then {budget.action}"
    for file in plan.files:
        yield f"    file        {file}"


def tls_of(listener: Listener) -> str:
    """``none``, ``tls``, or ``mutual``."""
    if listener.tls is None:
        return "none"
    return "mutual" if listener.tls.client_ca else "tls"


def without_password(shared: SharedConfig) -> str:
    """The address of the shared store, fit to be shown."""
    parts = urlsplit(shared.url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _in_words(tls: str) -> str:
    return {"none": "", "tls": " with TLS", "mutual": " with TLS, clients by certificate"}[tls]


def _rotation(rotation: Rotation) -> dict[str, Any]:
    size = rotation.size >> 20
    return {"size_mb": size, "keep": rotation.keep, "days": rotation.days, "compress": rotation.compress}


def _rotated(rotation: Rotation | None) -> str:
    return "" if rotation is None else f", set aside at {rotation.size >> 20} MiB"


def _sharers(config: Config, application: ApplicationConfig) -> list[str]:
    """The applications before this one that have the same rules."""
    names = []
    for other in config.applications:
        if other is application:
            break
        same_files = [name for name, _ in other.include] == [name for name, _ in application.include]
        if same_files and other.directives.rstrip() == application.directives.rstrip():
            names.append(other.name)
    return names

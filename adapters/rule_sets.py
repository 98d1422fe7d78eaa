"""The rules of each application, compiled; the faults of all of them together.

Here: which files and directives an application has, and positions: a fault
in directives that stand in the configuration file is shown in that file, at its line. Not here: the YAML, the log.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.block_lists import block_lists
from adapters.config import EMBEDDED_RULES, ConfigError, load_config
from adapters.config_files import check_files
from adapters.crs.find import detection_only, embedded_rules, explain, late_plugins
from adapters.progress import compiling_bar
from waf_engine import WAF, SecLangError
from waf_engine.diagnostics import Diagnostic, Severity, Span
from waf_engine.loaders import INLINE
from waf_engine.persistence import Partition
from waf_engine.plugins import load_plugins
from waf_engine.waf import default_registries

if TYPE_CHECKING:
    from adapters.config import ApplicationConfig, Config
    from waf_engine.persistence import CollectionStore
    from waf_engine.plugins import Registries


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of an application.

    Attributes:
        waf: compiled.
        embedded: whether they are the embedded ones because the configuration names none.
        warnings: what the compiler found worth a word.
    """

    waf: WAF
    embedded: bool
    warnings: tuple[Diagnostic, ...]


def load_all(
    path: str | Path,
    *,
    background: bool | None = False,
    executor: str = "plan",
    collections: CollectionStore | None = None,
) -> tuple[Config, dict[str, RuleSet]]:
    """Read a configuration, look at the files it names, and compile its rules.

    Args:
        path: the configuration file.
        background: see `load_rule_sets`.
        executor: see `load_rule_sets`.
        collections: see `load_rule_sets`.

    Raises:
        ConfigError: any of them has faults; those of all are in it, as far as the configuration could be understood.
    """
    found: list[Diagnostic] = []
    config: Config | None
    try:
        config = load_config(path)
    except ConfigError as error:
        found += error.diagnostics
        config = error.config
    if config is None:
        raise ConfigError(found)
    found += check_files(config)
    if found:
        try:
            load_rule_sets(config, background=True)  # only their faults are wanted
        except ConfigError as error:
            raise ConfigError((*found, *error.diagnostics)) from error
        raise ConfigError(found, config)
    return config, load_rule_sets(config, background=background, executor=executor, collections=collections)


def load_rule_sets(
    config: Config,
    *,
    background: bool | None = False,
    executor: str = "plan",
    collections: CollectionStore | None = None,
) -> dict[str, RuleSet]:
    """Compile the rules of all applications; equal rules are compiled once and shared.

    Args:
        config: the configuration.
        background: whether rules may run plainly, but at once, while their databases are being compiled; None leaves
            that to the configuration (`serve_while_compiling`).
        executor: ``reference`` has them run plainly for good, see `WAF`.
        collections: where persistent collections of this machine live; with `shared` they are on the server, and here
            while it does not answer. None: each rule set has its own, in this process.

    Returns:
        The rule sets by the names of their applications.

    Raises:
        ConfigError: the rules of at least one application have faults; those of all are in it, each once. Or a plug-in
            is broken.
    """
    registries, embedded = rule_language(plugins=config.plugins), embedded_rules()
    background = config.serve_while_compiling if background is None else background
    rule_sets: dict[str, RuleSet] = {}
    compiled: dict[tuple[str, tuple[str, ...]], WAF] = {}
    store = collections
    if collections is not None and config.shared is not None:
        from adapters.redis_collections import RedisCollections  # noqa: PLC0415  most agents need no Redis

        store = RedisCollections(config.shared, collections)
    faults: dict[Diagnostic, None] = {}
    for application in config.applications:
        missing = _missing_files(application)
        faults.update(dict.fromkeys(missing))
        if missing:
            continue
        names = tuple(name for name, _ in application.include)
        key = (application.directives.rstrip(), names)  # whether YAML's `|` or `|-` stood before them does not matter
        try:
            if key not in compiled:
                settings = {"rbl_resolver": block_lists()}
                options: dict[str, Any] = {"registries": registries, "background": background, "settings": settings}
                options |= {"embedded": embedded, "executor": executor, "progress": compiling_bar()}
                options["store"] = None if store is None else Partition(store, application.name)
                options["cache_folder"] = Path(config.cache_folder) if config.cache_folder else None
                compiled[key] = (
                    WAF.from_files(names, **options)
                    if names
                    else WAF.from_directives(application.directives, **options)
                )
        except SecLangError as error:
            faults.update(dict.fromkeys(_placed(fault, application, config.path) for fault in error.diagnostics))
            continue
        waf = compiled[key]
        about = (waf.plan, application.directives, INLINE)
        found = (*waf.plan.diagnostics, *detection_only(*about), *late_plugins(*about))
        warnings = tuple(_placed(fault, application, config.path) for fault in found)
        rule_sets[application.name] = RuleSet(waf, application.directives == EMBEDDED_RULES, warnings)
    if any(fault.severity is Severity.ERROR for fault in faults):
        raise ConfigError(list(faults))
    return rule_sets


def rule_language(*, plugins: bool) -> Registries:
    """The names that rules may use: those of the engine, and those that installed plug-ins add.

    Raises:
        ConfigError: a plug-in is broken.
    """
    registries = default_registries()
    if not plugins:
        return registries
    try:
        return load_plugins(registries)
    except SecLangError as error:
        raise ConfigError(error.diagnostics) from error


def _missing_files(application: ApplicationConfig) -> list[Diagnostic]:
    """Included names that no file has, at their place in the configuration rather than in a made-up directive."""
    faults = []
    for name, span in application.include:
        if name.startswith("@") or Path(name).is_file() or glob.glob(name):  # noqa: PTH207  takes absolute globs as well
            continue
        message = f"there is no file {name!r}"
        if any(char in name for char in "*?["):
            message = f"no file matches {name!r}"
        hint = "" if Path(name).is_absolute() else f"relative names begin at the working directory, {Path.cwd()}"
        faults.append(Diagnostic(Severity.ERROR, "no-such-file", message, span, hint))
    return faults


def _placed(fault: Diagnostic, application: ApplicationConfig, path: str) -> Diagnostic:
    """A fault with its place in the configuration file, when it is in directives that stand there."""
    fault = explain(fault)
    if fault.span.file != INLINE:
        return fault
    start, line, column = application.directives_at, fault.span.line, fault.span.column
    if start is None:  # folded or quoted: the lines of the text are not those of the file
        return replace(fault, span=Span(f"{path} (directives of {application.name})", line, column))
    span = Span(start.file, start.line + line - 1, start.column + column - 1)
    lines = application.directives.split("\n")
    source = " " * (start.column - 1) + lines[line - 1] if line <= len(lines) else ""
    return replace(fault, span=span, source_line=source)

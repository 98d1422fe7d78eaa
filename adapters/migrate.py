"""`spoa-waf migrate OLD`: a configuration of an earlier generation in the current form, with what changed and why.

Here: settings to text, and the command's arguments. Not here: reading a configuration (config.py). The text is read
again before it is given away: what does not mean the same as the old file is never printed.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from adapters.config import ConfigError, load_config, parse_config
from adapters.config_forms import include_line
from adapters.config_model import (
    DEFAULT_ACTIVE_BYTES,
    DEFAULT_DRAIN_MS,
    DEFAULT_WORKERS,
    EMBEDDED_RULES,
    Config,
)
from adapters.logs import LEVELS, escape
from waf_engine.diagnostics import Diagnostic, Severity, Span

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from adapters.config_model import ApplicationConfig, Listener, LogConfig

DESCRIPTION = """\
Print a configuration of an earlier generation in the current form, with what changed and why as comments. The old file
is only read.
"""
_ORIGIN = {
    "A": "the flat form of coraza-spoa, 2022",
    "B1": "the map of applications of coraza-spoa, 2022, with `include`",
    "B2": "the map of applications of coraza-spoa, 2022 and 2023, with `rules`",
    "B3": "the map of applications of coraza-spoa until 2024, with `directives`",
    "C": "the list of applications of coraza-spoa since 0.2",
    "ours": "the current form",
}
_CURRENT = ("C", "ours")
_LEVEL_NAMES = {number: name for name, number in LEVELS.items()}
_WIDTH = 116
# What `meaning` compares as it is.
_PROCESS_FIELDS = (
    "plugins",
    "workers",
    "autoreload",
    "drain_timeout",
    "metrics",
    "cache_folder",
    "serve_while_compiling",
    "rotation",
)
_APPLICATION_FIELDS = (
    "hosts",
    "active_bytes",
    "detect_only",
    "trusted_proxies",
    "client_address_header",
    "skip",
    "block_page",
    "budget",
)


def add_migrate_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a program; its function is then `options.run(options)`, which gives the exit status."""
    command = commands.add_parser(
        "migrate", help="print a configuration in the current form", description=DESCRIPTION, allow_abbrev=False
    )
    command.add_argument("old", metavar="OLD", type=Path, help="the configuration file")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        config = load_config(options.old)
        new = _is_current(config, options.old) or render(config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(new)
    return 0


def _is_current(config: Config, path: Path) -> str:
    """The file itself, comments and all, when it has the current form already; else nothing."""
    if config.generation not in _CURRENT:
        return ""
    return f"# {path.name!a} has the current form: nothing was changed.\n" + path.read_text("utf-8-sig")


def migrate(text: str, name: str = "config.yaml") -> str:
    """A configuration in the current form.

    Args:
        text: the YAML text of any generation.
        name: how positions and comments name the file.

    Returns:
        YAML that `parse_config` reads as generation C, and that means the same; a text of that generation as it is.

    Raises:
        ConfigError: the old text has faults; all of them are in it.
    """
    config = parse_config(text, name)
    return text if config.generation in _CURRENT else render(config)


def render(config: Config) -> str:
    """Settings of any generation as a text of the current form.

    Raises:
        ConfigError: the settings cannot be written in it.
    """
    lines = [f"# From {config.path!a}: {_ORIGIN[config.generation]}.", "# What changed, and why:"]
    lines += [line for note in _notes(config) for line in _comment(note)]
    lines += ["", *_listen(config.listeners), *_log(config.log)]
    if config.default_application is not None:
        lines.append(f"default_application: {_scalar(config.default_application)}")
    lines += _process(config)
    lines.append("applications:" if config.applications else "applications: []")
    for application in config.applications:
        lines += _application(application, config.log)
    text = "\n".join(lines) + "\n"
    if meaning(parse_config(text, config.path)) != meaning(config):
        message = "the settings cannot be written in the current form"
        raise ConfigError([Diagnostic(Severity.ERROR, "not-migrated", message, Span(config.path, 1))])
    return text


def meaning(config: Config) -> tuple[object, ...]:
    """What two configurations of any generations have in common when they mean the same.

    Of the agent's own log only the level: the two files of generation A are one in the current form.
    """
    applications = [
        (
            each.name,
            rules_of(each).strip(),
            each.response_check,
            each.ttl,
            each.active_limit,
            each.log.level,
            None if each.log.sinks == config.log.sinks else each.log.sinks,
            *(getattr(each, name) for name in _APPLICATION_FIELDS),
        )
        for each in config.applications
    ]
    listeners = [(listener.bind, listener.tls) for listener in config.listeners]
    process = [getattr(config, name) for name in _PROCESS_FIELDS]
    shared = config.shared and (config.shared.url, config.shared.timeout, config.shared.prefix)
    return listeners, config.default_application, config.log.level, process, shared, applications


def rules_of(application: ApplicationConfig) -> str:
    """The rules of an application as directives, its rule files as Include."""
    if application.include:
        return "".join(f"{include_line(name)}\n" for name, _ in application.include)
    return application.directives


def _notes(config: Config) -> Iterator[str]:
    """What changed, and why, for people."""
    if config.generation == "A":
        yield "the keys of `spoa` and `log` stand at the top or at the application, for there may be several"
        yield "the one application is called `default`, and takes messages that name none"
        yield "`include` is Include in `directives`, which may hold rules as well"
        if config.applications[0].directives == EMBEDDED_RULES:
            yield "without `include` the embedded rules were used: they are named now, and can be changed"
        yield "`log.dir` is `log_file`, one file in the place of server.log and error.log"
        yield "`log_rotation` says what was always done, and makes the folder; leave it out where logrotate does it"
        yield "`transaction_ttl` is `transaction_ttl_ms`, so that its unit shows"
        yield "`response_check: true`: every response that came was checked; false saves memory where none is sent"
    else:
        yield "`applications` is a list, each with its `name`"
        yield "`no_response_check` is `response_check`, its contrary; responses were checked unless it was set"
        yield "`include` and `rules` are lines of `directives`: files first, then directives, then rules"
        yield "the time to live is `transaction_ttl_ms` only, so that its unit shows"
        yield "log levels and files are written out, for the defaults differ: warn was the default, info is"
        yield "`log_format: json`, which is what was written; the new default is console"
        yield "`action` is no longer `allow` when nothing interrupts, but not set: is HAProxy asked for `allow`?"
    for fault in config.warnings:
        hint = f" ({fault.hint})" if fault.hint else ""
        left_out = "left out: " if fault.code == "unknown-key" else ""
        yield f"{left_out}line {fault.span.line} of the old file: {fault.message}{hint}"


def _comment(note: str) -> list[str]:
    """A note as comment lines, broken between words."""
    lines, line = [], "# -"
    for word in escape(note).split():
        if len(line) + len(word) > _WIDTH:
            lines.append(line)
            line = "#  "
        line += f" {word}"
    return [*lines, line]


def _application(application: ApplicationConfig, top: LogConfig) -> list[str]:
    lines = [
        f"  - name: {_scalar(application.name)}",
        *_directives(rules_of(application)),
        f"    response_check: {str(application.response_check).lower()}",
        f"    transaction_ttl_ms: {round(application.ttl * 1000)}",
        f"    transaction_active_limit: {application.active_limit}",
    ]
    lines += [f"    {line}" for line in _own(application)]
    if (application.log.level, application.log.sinks) != (top.level, top.sinks):
        lines += [f"    {line}" for line in _log(application.log)]
    return lines


def _listen(listeners: Sequence[Listener]) -> list[str]:
    """`bind`, or `listen` where one address does not say everything."""
    if len(listeners) == 1 and listeners[0].tls is None:
        return [f"bind: {_scalar(str(listeners[0].bind))}"]
    lines = ["listen:"]
    for listener in listeners:
        if listener.tls is None:
            lines.append(f"  - {_scalar(str(listener.bind))}")
            continue
        tls = {name: getattr(listener.tls, name) for name in ("certificate", "key", "client_ca")}
        lines += [f"  - bind: {_scalar(str(listener.bind))}", "    tls:"]
        lines += [f"      {name}: {_scalar(file)}" for name, file in tls.items() if file]
    return lines


def _process(config: Config) -> list[str]:
    """The keys of the top that coraza-spoa does not know, where they are not as they would be without."""
    shared, rotation = config.shared, config.rotation
    lines = [] if config.plugins else ["plugins: false"]
    if config.workers != DEFAULT_WORKERS:
        lines.append(f"workers: {config.workers or 'auto'}")
    if config.autoreload:
        lines.append("autoreload: true")
    if round(config.drain_timeout * 1000) != DEFAULT_DRAIN_MS:
        lines.append(f"drain_timeout_ms: {round(config.drain_timeout * 1000)}")
    if config.metrics is not None:
        lines.append(f"metrics: {_scalar(str(config.metrics))}")
    if config.cache_folder is not None:
        lines.append(f"cache_folder: {_scalar(config.cache_folder)}")
    if not config.serve_while_compiling:
        lines.append("serve_while_compiling: false")
    if shared is not None:
        lines += ["shared:", f"  url: {_scalar(shared.url)}", f"  timeout_ms: {round(shared.timeout * 1000)}"]
        lines.append(f"  prefix: {_scalar(shared.prefix)}")
    if rotation is not None:
        lines += ["log_rotation:", f"  size_mb: {rotation.size >> 20}", f"  keep: {rotation.keep}"]
        lines += [f"  days: {rotation.days}", f"  compress: {str(rotation.compress).lower()}"]
    return lines


def _own(application: ApplicationConfig) -> list[str]:
    """The keys of an application that coraza-spoa does not know, where they are not as they would be without."""
    lines = _list("hosts", application.hosts)
    if application.active_bytes != DEFAULT_ACTIVE_BYTES:
        lines.append(f"transaction_active_bytes: {application.active_bytes}")
    if application.detect_only:
        lines.append("detect_only: true")
    lines += _list("trusted_proxies", map(str, application.trusted_proxies))
    if application.client_address_header:
        lines.append(f"client_address_header: {_scalar(application.client_address_header)}")
    if skipped := (_list("  paths", application.skip.paths) + _list("  content_types", application.skip.content_types)):
        lines += ["skip:", *skipped]
    if application.block_page:
        lines.append(f"block_page: {_scalar(application.block_page)}")
    if application.budget.milliseconds:
        lines.append(f"budget_ms: {application.budget.milliseconds!r}")
        lines.append(f"budget_action: {application.budget.action}")
    return lines


def _list(key: str, texts: Iterable[str]) -> list[str]:
    """A list of texts, each on its line, quoted where it needs to be; nothing without any."""
    items = [_scalar(text) for text in texts]
    indent = " " * (len(key) - len(key.lstrip()))
    return [f"{key}:", *(f"{indent}  - {item}" for item in items)] if items else []


def _log(log: LogConfig) -> list[str]:
    sink = log.sinks[0]
    return [
        f"log_level: {_LEVEL_NAMES[log.level]}",
        f"log_file: {_scalar(sink.path)}",
        f"log_format: {sink.form}",
    ]


def _directives(text: str) -> list[str]:
    """Directives line by line as they are, or in quotes when YAML cannot hold them so."""
    body = text.removesuffix("\n").split("\n")
    plain = all(line.isprintable() or line.replace("\t", "").isprintable() for line in body)
    if not text.strip() or not plain or body[0][:1].isspace() or not body[0] or not body[-1].strip():
        return [f"    directives: {_scalar(text)}"]
    return ["    directives: |", *(f"      {line}" if line else "" for line in body)]


def _scalar(text: str) -> str:
    """A text as YAML reads it back, on one line."""
    style = None if text.isprintable() else '"'
    item: str = yaml.safe_dump([text], width=math.inf, default_style=style, allow_unicode=True)
    return item.removeprefix("- ").removesuffix("\n")

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
from adapters.config_model import EMBEDDED_RULES, Config
from adapters.logs import LEVELS, escape
from waf_engine.diagnostics import Diagnostic, Severity, Span

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from adapters.config_model import ApplicationConfig, LogConfig

DESCRIPTION = """\
Print a configuration of an earlier generation in the current form, with what changed and why as comments. The old file
is only read.
"""
_ORIGIN = {
    "A": "the flat form of coraza-spoa, 2022",
    "B1": "the map of applications of coraza-spoa, 2022, with `include`",
    "B2": "the map of applications of coraza-spoa, 2022 and 2023, with `rules`",
    "B3": "the map of applications of coraza-spoa until 2024, with `directives`",
    "C": "the current form",
}
_LEVEL_NAMES = {number: name for name, number in LEVELS.items()}
_WIDTH = 116


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
    if config.generation != "C":
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
    return text if config.generation == "C" else render(config)


def render(config: Config) -> str:
    """Settings of any generation as a text of the current form.

    Raises:
        ConfigError: the settings cannot be written in it.
    """
    lines = [f"# From {config.path!a}: {_ORIGIN[config.generation]}.", "# What changed, and why:"]
    lines += [line for note in _notes(config) for line in _comment(note)]
    lines += ["", f"bind: {_scalar(str(config.binds[0]))}", *_log(config.log)]
    if config.default_application is not None:
        lines.append(f"default_application: {_scalar(config.default_application)}")
    if not config.plugins:
        lines.append("plugins: false")
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
        )
        for each in config.applications
    ]
    return config.binds, config.default_application, config.plugins, config.log.level, applications


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
        yield "`log.dir` is `log_file`, one file in the place of server.log and error.log; its folder must exist"
        yield "`transaction_ttl` is `transaction_ttl_ms`, so that its unit shows"
        yield "`response_check: true`: every response that came was checked; false saves memory where none is sent"
    else:
        yield "`applications` is a list, each with its `name`"
        yield "`no_response_check` is `response_check`, its contrary; responses were checked unless it was set"
        yield "`include` and `rules` are lines of `directives`: files first, then directives, then rules"
        yield "the time to live is `transaction_ttl_ms` only, so that its unit shows"
        yield "log levels and files are written out, for the defaults differ: warn was the default, info is"
        yield "`log_format: json`, which is what was written; the new default is console"
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
    if (application.log.level, application.log.sinks) != (top.level, top.sinks):
        lines += [f"    {line}" for line in _log(application.log)]
    return lines


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

"""The agent's configuration file: found, read, its generation recognised by shape, every fault listed at once.

Here: from a file's name or text to `Config`, and the names that other modules need of its settings. Not here: the forms
(config_forms.py), opening what a configuration names (rules: rule_sets.py, logs: logs.py, sockets: sockets.py), and
command line flags.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from adapters.config_forms import read_flat, read_list, read_map
from adapters.config_model import (
    DEFAULT_BIND,
    EMBEDDED_RULES,
    ApplicationConfig,
    Config,
    ConfigError,
    LogConfig,
)
from adapters.yaml_reader import MAX_BYTES, Faults, Section, compose, is_null
from waf_engine.diagnostics import Diagnostic, Severity, Span

__all__ = [
    "DEFAULT_BIND",
    "EMBEDDED_RULES",
    "USUAL_PLACES",
    "ApplicationConfig",
    "Config",
    "ConfigError",
    "LogConfig",
    "find_config",
    "load_config",
    "parse_config",
]

USUAL_PLACES = ("config.yml", "config.yaml", "/etc/spoa-waf/config.yaml", "/etc/coraza-spoa/config.yaml")
"""Where the file is looked for when none is named: coraza-spoa's default of 2022, ours, the one of its packages."""


def find_config() -> Path | None:
    """The first file that exists of the usual places, or None."""
    return next((path for path in map(Path, USUAL_PLACES) if path.is_file()), None)


def load_config(path: str | Path) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: it cannot be read, or has faults; all of them are in it.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        hint = f"looked in {Path(path).absolute().parent}" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError([_fault(name, "unreadable-file", f"the file cannot be read: {reason}", hint)]) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte {error.start} (0x{content[error.start]:02x}) is not UTF-8"
        fault = Diagnostic(Severity.ERROR, "not-utf-8", message, Span(name, line), "save the file as UTF-8 text")
        raise ConfigError([fault]) from error
    return parse_config(text, name)


def parse_config(text: str, name: str = "config.yaml") -> Config:
    """Read a configuration from its text.

    Args:
        text: the YAML text.
        name: how positions name the file.

    Raises:
        ConfigError: it has faults; all of them are in it. Nothing else, whatever the text.
    """
    faults = Faults(name, text)
    root = compose(text, faults)
    if (root is None or is_null(root)) and not faults.found:
        faults.add((1, 1), "empty", "the file is empty", "docs/configuration.md shows one to begin with")
    if faults.errors:
        raise ConfigError(faults.found)
    top = Section(root, faults, "")
    if not top.is_map:
        raise ConfigError(faults.found)
    if "applications" in top and "spoa" in top:
        message = "spoa and applications are both set: those are two forms of this file, which of them is meant?"
        faults.add(top.place("spoa"), "contradiction", message, "`spoa-waf migrate` makes applications of spoa")
    if "spoa" in top or ("log" in top and "applications" not in top):
        config = read_flat(top)
    elif isinstance(top.raw("applications"), yaml.MappingNode):
        config = read_map(top)
    else:
        config = read_list(top)
    if faults.errors:
        raise ConfigError(sorted(faults.found, key=lambda fault: (fault.span.line, fault.span.column)), config)
    return config


def _fault(name: str, code: str, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, Span(name, 1), hint)

"""The arguments of the command `spoa-waf test`: tests in go-ftw's YAML form against rules, without a proxy.

Not here: what the command does (command.py), which is imported only when it is run.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

DESCRIPTION = """\
Run tests of rules: each sends a request through the rules, in this process, and says which rules must match or what the
client must get. The form of the tests is go-ftw's, as of the OWASP CRS; docs/testing-rules.md explains it.
"""
EPILOG = """\
examples:
  spoa-waf test tests/                                   the embedded rules
  spoa-waf test -c config.yaml tests/                    the rules of the configuration
  spoa-waf test --rules setup.conf 'rules/*.conf' -- tests/
  spoa-waf test --directives 'SecRule ARGS "@streq x" "id:1,phase:1,deny"' my-test.yaml

exit status: 0 all passed, 1 a test failed, 2 nothing could be run
"""


MAX_JOBS = 256


def add_test_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a program; its function is then `options.run(options)`, which gives the exit status."""
    command = commands.add_parser(
        "test",
        help="run tests of rules (go-ftw's YAML form), without a proxy",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="test files, or folders of them")
    add_rule_arguments(command)
    tests = command.add_argument_group("which tests")
    tests.add_argument("--include", type=_pattern, metavar="REGEX", help="only tests with such a name (942100-1)")
    tests.add_argument("--exclude", type=_pattern, metavar="REGEX", help="no tests with such a name")
    tests.add_argument(
        "--overrides",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="what is expected otherwise here: go-ftw's platform overrides, or its configuration's testoverride lists",
    )
    how = command.add_argument_group("how")
    how.add_argument("-j", "--jobs", type=_jobs, default=0, metavar="N", help="processes (default: one for each CPU)")
    how.add_argument("--fail-fast", action="store_true", help="stop at the first test that fails")
    how.add_argument("--client-ip", default="127.0.0.1", metavar="ADDRESS", help="where requests come from (127.0.0.1)")
    output = command.add_argument_group("output")
    output.add_argument("--show-log", action="store_true", help="write the log lines of tests that fail")
    output.add_argument("-v", "--verbose", action="store_true", help="write a line for every test")
    output.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML, for CI")
    output.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    command.set_defaults(run=_run)


def add_rule_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say which rules are meant; `command.load_rules` reads them."""
    rules = command.add_argument_group("which rules (default: the embedded @recommended.conf and @baseline/*.conf)")
    which = rules.add_mutually_exclusive_group()
    which.add_argument("-c", "--config", metavar="FILE", help="those of an agent's configuration")
    which.add_argument(
        "--rules", nargs="+", action="extend", metavar="FILE", help="rule files, globs or embedded names, in this order"
    )
    which.add_argument("--directives", metavar="TEXT", help="this text; Include in it reads files")
    rules.add_argument("--application", metavar="NAME", help="with -c: this application (default: the default one)")
    rules.add_argument("--no-plugins", action="store_true", help="without what installed plug-ins add to the language")


def _run(options: argparse.Namespace) -> int:
    from adapters.ftw.command import run_test_command  # noqa: PLC0415  the agent shall not pay for it

    return run_test_command(options)


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of the command line; it runs on names of tests only."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression: {error}") from error


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= MAX_JOBS):
        raise argparse.ArgumentTypeError(f"a number from 1 to {MAX_JOBS}, got {text!r}")
    return int(text)

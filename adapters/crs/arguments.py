"""The arguments of the command `spoa-waf crs`: the OWASP CRS and its plug-ins installed, listed, removed, compared.

Not here: what the commands do (command.py), which is imported only when one is run.
"""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Get the OWASP Core Rule Set and choose the version that `Include @owasp_crs/*.conf` means. Versions stand side by side;
one is pinned. root installs for the service, to /var/lib/spoa-waf/crs; anybody else for themselves, to
$XDG_DATA_HOME/spoa-waf/crs. docs/rule-sets.md has more.
"""
EPILOG = """\
examples:
  spoa-waf crs install                       the version that this program is tested with
  spoa-waf crs install --from crs.tar.gz --sha256 HEX
  spoa-waf crs diff 4.27.0 4.28.0 && spoa-waf crs pin 4.28.0
  spoa-waf crs plugin install wordpress

exit status: 0 done, 1 it could not be done, 2 a wrong command line
"""

PLUGIN_DESCRIPTION = """\
Get plug-ins of the OWASP CRS 4: exclusions for an application, say, so that the rules leave its editor alone. A
configuration names one by `Include @crs-plugins/NAME`, before `Include @owasp_crs/*.conf`.
"""
PLUGIN_EPILOG = """\
the CRS project's exclusion packages: cpanel, dokuwiki, drupal, nextcloud, phpbb, phpmyadmin, wordpress, xenforo
(short for wordpress-rule-exclusions and so on); any other NAME is looked for at github.com/coreruleset/NAME-plugin

exit status: 0 done, 1 it could not be done, 2 a wrong command line
"""

DEFAULT_VERSION = "4.28.0"
"""The version that is installed when none is named: the one that the tests of this program run."""


def add_crs_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a program; its function is then `options.run(options)`, which gives the exit status."""
    crs = commands.add_parser(
        "crs",
        help="install the OWASP CRS, in several versions; list, pin, remove, compare them",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = crs.add_subparsers(dest="crs_command", required=True, metavar="ACTION")
    install = _add(actions, "install", "get a version: the CRS project's release, or another archive")
    which = install.add_mutually_exclusive_group()
    which.add_argument(
        "version", nargs="?", metavar="VERSION", help=f"the project's release (default: {DEFAULT_VERSION})"
    )
    which.add_argument("--from", dest="source", metavar="FILE_OR_URL", help="this archive (tar.gz or zip) instead")
    _add_checks(install)
    listed = _add(actions, "list", "show what is installed, and which version is in use")
    listed.add_argument("--json", action="store_true", help="as JSON, for scripts")
    pin = _add(actions, "pin", "use this version from the next reload on")
    pin.add_argument("version", metavar="VERSION", help="an installed version, or `debian` for Debian's package")
    remove = _add(actions, "remove", "delete a version")
    remove.add_argument("version", metavar="VERSION", help="an installed version")
    diff = _add(actions, "diff", "show the rules that were added, removed and changed from A to B")
    diff.add_argument("first", metavar="A", help="an installed version, or `debian`")
    diff.add_argument("second", metavar="B", help="the same")
    diff.add_argument("--json", action="store_true", help="as JSON, for scripts")
    crs.set_defaults(run=_run)
    _add_plugin(actions)


def _add_plugin(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    plugin = actions.add_parser(
        "plugin",
        help="the CRS's plug-ins and exclusion packages",
        description=PLUGIN_DESCRIPTION,
        epilog=PLUGIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    more = plugin.add_subparsers(dest="plugin_command", required=True, metavar="ACTION")
    install = _add(more, "install", "get a plug-in: the CRS project's, or another archive")
    which = install.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", metavar="NAME", help="such as wordpress or wordpress-rule-exclusions")
    which.add_argument("--from", dest="source", metavar="FILE_OR_URL", help="this archive (tar.gz or zip) instead")
    install.add_argument("--version", metavar="VERSION", help="this release (default: what its repository has now)")
    install.add_argument("--replace", action="store_true", help="in the place of the version that is installed")
    _add_checks(install)
    listed = _add(more, "list", "show what is installed")
    listed.add_argument("--json", action="store_true", help="as JSON, for scripts")
    remove = _add(more, "remove", "delete a plug-in")
    remove.add_argument("name", metavar="NAME", help="an installed plug-in")
    plugin.set_defaults(run=_run_plugin)


def _add(actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=text, description=text, allow_abbrev=False)


def _add_checks(install: argparse.ArgumentParser) -> None:
    install.add_argument("--sha256", metavar="HEX", help="the archive's checksum; without it, what it is is printed")
    install.add_argument("--require-signature", action="store_true", help="refuse what is not signed by a key you have")


def _run(options: argparse.Namespace) -> int:
    from adapters.crs.command import run_crs_command  # noqa: PLC0415  the agent shall not pay for it

    return run_crs_command(options)


def _run_plugin(options: argparse.Namespace) -> int:
    from adapters.crs.plugin_command import run_plugin_command  # noqa: PLC0415  the same

    return run_plugin_command(options)

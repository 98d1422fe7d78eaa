"""What `spoa-waf crs plugin` does: plug-ins and exclusion packages of the CRS, installed, listed, removed.

Results go to standard output; progress, warnings and faults to standard error.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.config import ConfigError
from adapters.console import complain, say, say_json
from adapters.crs.archive import ArchiveError, unpack_plugin
from adapters.crs.command import Progress, check_checksum, judge
from adapters.crs.fetch import FetchError, fetch, is_url
from adapters.crs.find import PLUGINS, current_version, embedded_rules
from adapters.crs.plugins import check_name, current_plugins, default_plugins, name_of
from adapters.crs.store import Store, StoreError
from adapters.crs.verify import VerifyError
from adapters.rule_sets import rule_language
from waf_engine import WAF, SecLangError

if TYPE_CHECKING:
    import argparse

    from adapters.crs.plugins import PluginStore

PLUGIN_URL = "https://github.com/coreruleset/{}-plugin/archive/{}.tar.gz"
"""Where the CRS project keeps its plug-ins, each in a repository of its own: by name and version."""

SHORT_NAMES = {
    short: f"{short}-rule-exclusions"
    for short in ("cpanel", "dokuwiki", "drupal", "nextcloud", "phpbb", "phpmyadmin", "wordpress", "xenforo")
}
"""The project's exclusion packages, by the application that they are for."""


def run_plugin_command(options: argparse.Namespace) -> int:
    """Run one action of ``spoa-waf crs plugin``.

    Args:
        options: as `add_crs_command` parses them.

    Returns:
        The exit status: 0, or 1 when it could not be done.
    """
    actions = {"install": _install, "list": _list, "remove": _remove}
    try:
        actions[options.plugin_command](options)
    except (StoreError, FetchError, ArchiveError, VerifyError) as error:
        complain(f"spoa-waf crs plugin {options.plugin_command}: {error}")
        return 1
    return 0


def full_name(name: str) -> str:
    """The name of a plug-in; the project's exclusion packages are known by their applications, too.

    Raises:
        StoreError: it does not look like one.
    """
    plain = check_name(name)
    return SHORT_NAMES.get(plain, plain)


def _install(options: argparse.Namespace) -> None:
    wanted = full_name(options.name) if options.name else ""
    reference = f"refs/tags/v{options.version.removeprefix('v')}" if options.version else "HEAD"
    source = options.source or PLUGIN_URL.format(wanted, reference)
    check_checksum(source, options.sha256)
    store = default_plugins()
    if wanted and store.get(wanted) is not None and not options.replace:
        raise StoreError(f"{wanted} is installed in {store.folder} already; --replace takes another version")
    used = _folder_in_use()
    with Store(store.folder).workplace() as work:
        archive, folder = work / "archive", work / "plugin"
        folder.mkdir()
        complain(f"getting {source}")
        with Progress() as progress:
            sha256 = fetch(source, archive, progress=progress.show)
        signature = judge(source, archive, sha256, options)
        files = unpack_plugin(archive, folder)
        name = name_of(files)
        if wanted and name != wanted:
            raise ArchiveError(f"the archive has the plug-in {name}, expected {wanted}")
        if store.get(name) is not None and not options.replace:
            raise StoreError(f"{name} is installed in {store.folder} already; --replace takes another version")
        rules = _check_rules(name, folder / "plugins", files)
        where = source if is_url(source) else str(Path(source).resolve())
        kept = store.put(name, folder / "plugins", files, source=where, sha256=sha256)
    say(f"installed the plug-in {name}: {rules} rules in {store.folder}")
    say(f"  sha256     {sha256}" + ("" if options.sha256 else " (not compared: no --sha256)"))
    say(f"  signature  {signature or 'there is none'}")
    say(f"  to use it  Include {PLUGINS}{name} before Include @owasp_crs/*.conf")
    for each in kept:
        complain(f"{store.folder / each} was changed by you and stays as it is")
    if used is not None and used.folder != store.folder and used.plugins():
        complain(f"warning: the plug-ins in {used.folder} are no longer used: {PLUGINS} means {store.folder} now")


def _folder_in_use() -> PluginStore | None:
    version = current_version()
    return current_plugins(None if version is None else version.rules)


def _check_rules(name: str, folder: Path, files: list[str]) -> int:
    """How many rules a plug-in has; nothing is installed that would keep the agent from starting.

    Raises:
        ArchiveError: it needs what this agent does not do, or its rules have faults.
    """
    if any(each.endswith(".lua") for each in files):
        raise ArchiveError(f"the plug-in {name} runs Lua, which this agent does not; it was not installed")
    embedded = {**embedded_rules(), PLUGINS: folder}
    try:
        registries = rule_language(plugins=True)
        text = f"Include {PLUGINS}{name}\n"
        waf = WAF.from_directives(text, registries=registries, embedded=embedded, executor="reference")
    except (SecLangError, ConfigError) as error:
        raise ArchiveError(f"the plug-in {name} was not installed: {error}") from error
    rules = waf.plan.rule_count
    waf.close()
    return rules


def _list(options: argparse.Namespace) -> None:
    store = _folder_in_use()
    found = store.plugins() if store is not None else []
    if options.json:
        folder = "" if store is None else str(store.folder)
        say_json([{**asdict(each), "folder": folder} for each in found])
        return
    if store is None or not found:
        say("no plug-in is installed; `spoa-waf crs plugin install NAME` gets one")
        return
    for each in found:
        release = f" {each.release}" if each.release else ""
        say(f"{each.name}{release}  {store.folder}  from {each.source or 'somebody by hand'}")


def _remove(options: argparse.Namespace) -> None:
    name = full_name(options.name)
    default_plugins().remove(name)
    say(f"removed {name}; take `Include {PLUGINS}{name}` out of the configuration before the next reload")

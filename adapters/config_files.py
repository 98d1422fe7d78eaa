"""The files that a configuration names beside its rules: certificates, block pages, the folder of compiled patterns.

Here: whether they can be used, with the place that names them. Not here: rules (rule_sets.py), log files (logs.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adapters.tls import make_contexts
from waf_engine.diagnostics import Diagnostic, Severity, Span

if TYPE_CHECKING:
    from adapters.config_model import Config


def check_files(config: Config) -> list[Diagnostic]:
    """What is wrong with the files; nothing is kept of them, for a reload reads them anew."""
    _, faults = make_contexts(config.listeners)
    if (
        config.cache_folder is not None
        and Path(config.cache_folder).exists()
        and not Path(config.cache_folder).is_dir()
    ):
        message = f"cache_folder {config.cache_folder} is a file, not a folder"
        faults.append(
            Diagnostic(Severity.ERROR, "cache-folder", message, config.cache_folder_at or Span(config.path, 1))
        )
    return [*faults, *_block_pages(config)]


def _block_pages(config: Config) -> list[Diagnostic]:
    if not any(application.block_page for application in config.applications):
        return []
    from adapters.block_page import BlockPageError, read_block_page  # noqa: PLC0415  few have one

    faults = []
    for application in config.applications:
        if not application.block_page:
            continue
        try:
            read_block_page(application.block_page)
        except BlockPageError as error:
            where = application.block_page_at or application.where
            faults.append(Diagnostic(Severity.ERROR, "block-page", str(error), where))
    return faults

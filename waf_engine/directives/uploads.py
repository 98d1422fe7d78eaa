"""Directives on uploaded files: where they are while rules inspect them, and whether they stay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from waf_engine.diagnostics import ArgumentError
from waf_engine.directives.registry import choice, directive, one
from waf_engine.settings import Settings

if TYPE_CHECKING:
    from waf_engine.compiler.state import State
    from waf_engine.seclang.ast import Directive


@directive("SecUploadDir")
def sec_upload_dir(state: State, node: Directive) -> None:
    """``SecUploadDir /var/lib/waf/uploads``: a folder of the agent's own."""
    state.settings["upload_dir"] = _folder(state, node)


@directive("SecTmpDir")
def sec_tmp_dir(state: State, node: Directive) -> None:
    """``SecTmpDir /var/tmp/waf``: where uploads are written when there is no SecUploadDir."""
    folder = _folder(state, node)
    state.settings["upload_dir"] = state.settings["upload_dir"] or folder


@directive("SecUploadKeepFiles")
def sec_upload_keep_files(state: State, node: Directive) -> None:
    """``SecUploadKeepFiles On|Off|RelevantOnly``: whether uploads stay, always or when a rule with log matched."""
    state.settings["upload_keep_files"] = choice(node, ("On", "Off", "RelevantOnly"))
    if state.settings["upload_keep_files"] != "Off":

        def check() -> None:
            if not state.settings["upload_dir"]:
                hint = "name a folder of the agent's own"
                state.fault(node.span, "no-upload-dir", "SecUploadKeepFiles needs a SecUploadDir", hint)

        state.at_end["uploads"] = check
    else:
        state.at_end.pop("uploads", None)


@directive("SecUploadFileMode")
def sec_upload_file_mode(state: State, node: Directive) -> None:
    """``SecUploadFileMode 0640``: an octal number, or ``default``."""
    text = one(node)
    if text.lower() == "default":
        state.settings["upload_file_mode"] = Settings().upload_file_mode
        return
    if not text or len(text) > 4 or set(text) - set("01234567") or int(text, 8) > 0o777:
        raise ArgumentError(f"SecUploadFileMode takes an octal number such as 0640, got {text!r}")
    state.settings["upload_file_mode"] = int(text, 8)


def _folder(state: State, node: Directive) -> str:
    """The argument as an absolute path of a folder that can be written to; relative to the rule's file or the root.

    Raises:
        ArgumentError: it is none.
    """
    text = one(node)
    if not text or "\0" in text:
        raise ArgumentError(f"{node.name} takes a folder, got {text!r}")
    file = node.span.file
    base = (state.root or Path()) if file.startswith(("<", "@")) else Path(file).parent
    folder = (base / text).absolute()
    if state.root is not None and not folder.resolve().is_relative_to(state.root.resolve()):
        raise ArgumentError(f"{text} lies outside of {state.root}", code="outside-root")
    if not folder.is_dir():
        raise ArgumentError(f"there is no folder {folder}", hint="make it, for the agent's user alone")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ArgumentError(f"the folder {folder} cannot be written to")
    return str(folder)

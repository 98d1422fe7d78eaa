"""`spoa-waf completion SHELL`: a script that completes commands, options and file names in a shell.

The script is made from the command line's own parser by the library shtab, so it knows what the parser knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.console import complain, say

if TYPE_CHECKING:
    import argparse

SHELLS = ("bash", "zsh", "fish")
EPILOG = """\
to have it in each new shell:
  bash  spoa-waf completion bash | sudo tee /usr/share/bash-completion/completions/spoa-waf >/dev/null
  zsh   spoa-waf completion zsh | sudo tee /usr/local/share/zsh/site-functions/_spoa-waf >/dev/null
  fish  spoa-waf completion fish >~/.config/fish/completions/spoa-waf.fish
"""

_FILES = ("FILE", "PATH", "OLD", "FILE_OR_URL")
"""What arguments that are names of files are called in the help."""


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell.

    Args:
        parser: the command line's.
        shell: one of `SHELLS`.

    Raises:
        ImportError: the library shtab is not installed.
    """
    import shtab  # noqa: PLC0415  only this command needs it

    _name_files(parser, shtab.FILE)
    made: str = shtab.complete(parser, shell=shell)
    return made


def _name_files(parser: argparse.ArgumentParser, files: object) -> None:
    """Tell shtab which arguments are names of files."""
    for action in parser._actions:  # noqa: SLF001  argparse has no public way to list them; shtab reads the same
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        if metavar in _FILES:
            action.complete = files  # type: ignore[attr-defined]  # shtab's attribute
        if isinstance(action.choices, dict):
            for command in dict.fromkeys(action.choices.values()):
                _name_files(command, files)


def complete(parser: argparse.ArgumentParser, shell: str) -> int:
    """Print the script; the exit status."""
    try:
        text = script(parser, shell)
    except ImportError:
        complain("spoa-waf completion: the library shtab is missing\n  hint: pip install shtab")
        return 1
    say(text.rstrip("\n"))
    return 0

"""Docstrings as the sources have them: compiled classes and functions have none at run time."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any


def source_of(module: str) -> Path:
    """The source of a module, be it compiled or not."""
    file = Path(str(sys.modules[module].__file__))
    return file.with_name(file.name.partition(".")[0] + ".py")


def docstring_of(thing: Any) -> str:
    """The docstring of a class, a function at the top of a module, or an instance of a class; not cleaned."""
    if thing.__doc__:
        return str(thing.__doc__)
    kind = thing if hasattr(thing, "__name__") else type(thing)
    for node in ast.parse(source_of(kind.__module__).read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == kind.__name__:
            return ast.get_docstring(node, clean=False) or ""
    return ""

"""libinjection, the C library that recognises SQL injection and cross-site scripting, through ctypes.

Holds the search for a library that exports it and two calls; no detection of its own. libmodsecurity exports
``libinjection_sqli`` and ``libinjection_xss``; so does every build of libinjection itself. Nothing of libmodsecurity
is run but these two, and its Python module is not imported.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INSTALL_HINT: Final = (
    "pip install libmodsecurity (x86-64 Linux, macOS), or apt-get install libmodsecurity3,"
    " or name a libinjection.so by the setting 'libinjection'"
)

SYSTEM_LIBRARIES: Final = ("libmodsecurity.so.3", "libmodsecurity.3.dylib", "libinjection.so", "libinjection.dylib")
"""Names given to the dynamic linker: Debian's libmodsecurity3 first."""

# libinjection writes at most 5 types and a NUL; its header asks for 8 bytes. One more costs nothing.
_Fingerprint = ctypes.c_char * 9


class LibinjectionNotFoundError(Exception):
    """No usable library.

    Attributes:
        message: what was looked for, and what came of it.
        hint: what to install.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, INSTALL_HINT


class Libinjection:
    """One loaded library; its methods may be called from several threads at once.

    Attributes:
        path: the file, or the name that the dynamic linker knows.
        sqli: bytes to the fingerprint of an SQL injection, or None.
        xss: bytes to whether they are cross-site scripting.
    """

    __slots__ = ("_library", "path", "sqli", "xss")

    def __init__(self, path: str) -> None:
        """Load a library.

        Args:
            path: a file, or a name for the dynamic linker.

        Raises:
            OSError: it cannot be loaded.
            AttributeError: it does not export libinjection.
        """
        self.path = path
        self._library = ctypes.CDLL(path)
        self.sqli = _bind_sqli(self._library)
        self.xss = _bind_xss(self._library)


def _bind_sqli(library: ctypes.CDLL) -> Callable[[bytes], bytes | None]:
    """``int libinjection_sqli(const char *value, size_t length, char fingerprint[8])``."""
    function = library.libinjection_sqli
    function.argtypes = (ctypes.c_char_p, ctypes.c_size_t, _Fingerprint)
    function.restype = ctypes.c_int
    new_buffer = _Fingerprint

    def sqli(value: bytes) -> bytes | None:
        # A buffer for each call: ctypes lets other threads run meanwhile.
        buffer = new_buffer()
        # 1 is an injection; newer versions give -1 when their parser fails, which is no proof of innocence.
        return bytes(buffer.value) if function(value, len(value), buffer) else None

    return sqli


def _bind_xss(library: ctypes.CDLL) -> Callable[[bytes], bool]:
    """``int libinjection_xss(const char *value, size_t length)``."""
    function = library.libinjection_xss
    function.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    function.restype = ctypes.c_int

    def xss(value: bytes) -> bool:
        return bool(function(value, len(value)))

    return xss


def _wheel_libraries() -> Iterator[str]:
    """The shared objects of the PyPI package libmodsecurity: the library that its build tool put aside, the module."""
    spec = importlib.util.find_spec("libmodsecurity")
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(location)
        aside = folder.parent / "libmodsecurity.libs"
        for found in (
            *sorted(aside.glob("libmodsecurity*.so*")),
            *sorted(folder.glob(".dylibs/libmodsecurity*.dylib")),
            *sorted(folder.glob("_libmodsecurity*.so")),
        ):
            yield str(found)


def candidates(path: str = "") -> Iterator[str]:
    """Where a library may be, in the order of preference.

    Args:
        path: the one of the settings; when it is given, it is the only one.
    """
    if path:
        yield path
        return
    yield from _wheel_libraries()
    yield from SYSTEM_LIBRARIES


@functools.cache
def load(path: str = "") -> Libinjection:
    """The library of the settings, or the first that can be loaded.

    Args:
        path: a file; empty: the package libmodsecurity, Debian's libmodsecurity3, a libinjection.so, in this order.

    Raises:
        LibinjectionNotFoundError: there is none; what was tried is in its message.
    """
    failures = []
    for candidate in candidates(path):
        try:
            return Libinjection(candidate)
        except OSError as error:
            failures.append(f"{candidate}: {error}")
        except AttributeError:
            failures.append(f"{candidate}: exports no libinjection_sqli and libinjection_xss")
    raise LibinjectionNotFoundError(f"the C library libinjection cannot be loaded ({'; '.join(failures)})")

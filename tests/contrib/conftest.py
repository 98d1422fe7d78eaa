"""The fixture of the tests with real processes, for the files of contrib/."""

from tests.adapters.conftest import processes

__all__ = ["processes"]

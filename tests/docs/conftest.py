"""The fixtures of the tests with real processes, for the pages."""

from tests.adapters.conftest import haproxy_binary, processes, site

__all__ = ["haproxy_binary", "processes", "site"]

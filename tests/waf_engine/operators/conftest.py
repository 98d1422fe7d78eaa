"""What the tests of operators share: a transaction and a compiler that are only what an operator sees of them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import pytest

from waf_engine.diagnostics import ArgumentError
from waf_engine.operators import operators
from waf_engine.settings import Settings
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from waf_engine.types import Captures, Entry

XSD = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="order"><xs:complexType><xs:sequence>
<xs:element name="item" type="xs:int"/></xs:sequence></xs:complexType></xs:element></xs:schema>"""

FILES = {
    "order.xsd": XSD,
    "order.dtd": b"<!ELEMENT order (item)><!ELEMENT item (#PCDATA)>",
    "shells.data": b"# shells\n\n/bin/sh\n  /bin/bash  \r\nwget http\n",
    "networks.data": b"# ours\n192.168.0.0/16 # office\n\nfd00::/8\n",
}


@dataclass
class FakeTransaction:
    """The view of a transaction that an operator gets."""

    id: str = "test"
    tx: dict[bytes, bytes] = field(default_factory=dict)
    variables: dict[str, bytes] = field(default_factory=dict)
    collections: dict[str, list[Entry]] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    xml: Any = None

    def variable(self, name: str, key: bytes | None = None) -> bytes | None:
        return self.tx.get(key) if name.upper() == "TX" and key is not None else self.variables.get(name.upper())

    def set_collection(self, name: str, entries: Sequence[Entry]) -> None:
        self.collections[name] = list(entries)

    def set_tx(self, key: bytes, value: bytes) -> None:
        self.tx[key.lower()] = value

    def note_limit(self, name: str) -> None:
        self.limits.append(name)


class FakeMacro:
    """A text with ``%{tx.name}`` in it."""

    def __init__(self, text: str) -> None:
        self.text = encode_argument(text)
        self.literal = None if b"%{" in self.text else self.text

    def expand(self, tx: FakeTransaction) -> bytes:
        out, rest = b"", self.text
        while b"%{" in rest:
            before, _, rest = rest.partition(b"%{")
            name, _, rest = rest.partition(b"}")
            out += before + tx.tx.get(name.lower().removeprefix(b"tx."), b"")
        return out + rest


@dataclass
class FakeContext:
    """What an operator's factory may ask for."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    datasets: dict[str, tuple[bytes, ...]] = field(
        default_factory=lambda: {"shells": (b"/bin/sh", b"/bin/bash"), "networks": (b"192.168.0.0/16",)}
    )
    settings: dict[str, Any] = field(
        default_factory=lambda: {
            "geo_database": {"192.0.2.1": {"country": {"iso_code": "CH"}}}.get,
            "rbl_resolver": {"1.2.0.192.rbl.example.org": "127.0.0.2"}.get,
            "allow_inspect_file": True,
        }
    )
    warnings: list[str] = field(default_factory=list)

    def macro(self, text: str) -> FakeMacro:
        return FakeMacro(text)

    def read_data(self, name: str) -> bytes:
        if name not in self.files:
            raise ArgumentError(f"no file {name}")
        return self.files[name]

    def dataset(self, name: str) -> Sequence[bytes]:
        if name not in self.datasets:
            raise ArgumentError(f"no data set {name}")
        return self.datasets[name]

    def setting(self, name: str) -> Any:
        defaults = Settings()
        known = {each.name: getattr(defaults, each.name) for each in fields(defaults)}
        return (known | self.settings)[name]

    def warn(self, message: str, hint: str = "") -> None:
        self.warnings.append(f"{message} ({hint})")


class Bench:
    """Compiles operators and runs them."""

    Context = FakeContext
    Transaction = FakeTransaction

    @staticmethod
    def compile(name: str, argument: str = "", context: FakeContext | None = None) -> Callable[..., Captures | None]:
        """The test of an operator, to be called with a value alone or with a transaction."""
        factory = operators.get(name)
        assert factory is not None, name
        test = factory(argument, context or FakeContext())

        def run(value: bytes, tx: FakeTransaction | None = None) -> Captures | None:
            return test(value, tx or FakeTransaction())

        return run


@pytest.fixture(scope="session")
def bench() -> type[Bench]:
    """The class `Bench`."""
    return Bench

"""Which application a message is for: by name, by host, by default, in that order; and what makes one."""

from __future__ import annotations

import logging
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.applications import Application, ApplicationChoice, host_of, make_application
from adapters.config_model import ApplicationConfig, Budget, ConfigError, LogConfig, Skip
from adapters.transactions import Gone, TransactionStore
from adapters.troubles import Reason, TroubleError
from waf_engine.diagnostics import Span

if TYPE_CHECKING:
    from pathlib import Path

    from waf_engine import WAF

LOGGER = logging.Logger("test")  # noqa: LOG001  of this test alone
NO_WAF = cast("WAF", None)


def application(name: str, *hosts: str) -> Application:
    store: TransactionStore[Any] = TransactionStore(10, 60, lambda: 0.0)
    return Application(name, NO_WAF, response_check=True, store=store, logger=LOGGER, hosts=hosts)


def choice(*applications: Application, default: str | None = None) -> ApplicationChoice:
    return ApplicationChoice({each.name: each for each in applications}, default)


SHOP = application("shop", "shop.example.com", "*.shop.example.com")
EXACT = application("exact", "www.shop.example.com", "bücher.example", "[2001:db8::1]", "192.0.2.1")
WIDE = application("wide", "*.example.com", "*.straße.example")
REST = application("rest")
CHOICE = choice(SHOP, EXACT, WIDE, REST, default="rest")


def of_host(host: bytes, name: str | None = None) -> str:
    return CHOICE.for_request(name, ((b"accept", b"*/*"), (b"Host", host))).name


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"shop.example.com", "shop"),
        (b"SHOP.Example.com:8443", "shop"),
        (b"shop.example.com.", "shop"),
        (b"shop.example.com.:80", "shop"),
        (b" shop.example.com ", "shop"),
        (b"a.shop.example.com", "shop"),
        (b"a.b.shop.example.com", "shop"),
        (b"www.shop.example.com", "exact"),
        (b"ashop.example.com", "wide"),
        (b"example.com", "rest"),
        (b"notexample.com", "rest"),
        (b".example.com", "wide"),
        ("bücher.example".encode(), "exact"),
        ("BÜCHER.example:1".encode(), "exact"),
        (b"xn--bcher-kva.example", "exact"),
        (b"www.xn--strae-oqa.example", "wide"),
        ("www.straße.example".encode(), "wide"),
        (b"[2001:db8::1]:443", "exact"),
        (b"[2001:db8::1]", "exact"),
        (b"192.0.2.1:80", "exact"),
        (b"", "rest"),
        (b"shop.example.com:evil", "rest"),
        (b"shop.example.com, x", "rest"),
        (b"\xff\xfe.example", "rest"),
        (b"a." * 5000 + b"shop.example.com", "rest"),
    ],
)
def test_by_host(host: bytes, expected: str) -> None:
    assert of_host(host) == expected


def test_the_name_comes_before_the_host() -> None:
    assert of_host(b"shop.example.com", "wide") == "wide"
    assert of_host(b"shop.example.com", "unknown") == "shop"
    assert of_host(b"nobody.example", "unknown") == "rest"


def test_two_hosts_are_none() -> None:
    headers = ((b"host", b"shop.example.com"), (b"host", b"www.shop.example.com"))

    assert CHOICE.for_request(None, headers).name == "rest"
    assert CHOICE.for_request(None, headers[:1] * 2).name == "shop"


def test_without_a_default() -> None:
    hosts = choice(SHOP, WIDE)
    with pytest.raises(TroubleError) as caught:
        hosts.for_request(None, ((b"host", b"other"),))

    assert caught.value.reason is Reason.UNKNOWN_APPLICATION
    assert caught.value.detail == "no app; there are ['shop', 'wide']"


def test_the_only_one_needs_no_name_but_must_not_be_called_by_another() -> None:
    only = choice(SHOP)

    assert only.for_request(None, ()) is SHOP
    assert only.for_response(None, "x") is SHOP
    with pytest.raises(TroubleError, match="app 'other'"):
        only.for_request("other", ())


def test_a_response_without_a_name_belongs_to_whom_its_id_is_known() -> None:
    WIDE.store.put("w", cast("Any", object()))
    EXACT.store.remember("e", Gone.SKIPPED)

    assert CHOICE.for_response(None, "w") is WIDE
    assert CHOICE.for_response(None, "e") is EXACT
    assert CHOICE.for_response("shop", "w") is SHOP
    assert CHOICE.for_response(None, "unknown") is REST
    assert CHOICE.for_response(None, "") is REST


@given(st.binary(max_size=40))
def test_any_host_gives_some_application(host: bytes) -> None:
    assert of_host(host) in ("shop", "exact", "wide", "rest")
    assert host_of(((b"host", host),)) == host_of(((b"host", host.upper()),))


def config(**changes: Any) -> ApplicationConfig:
    log = LogConfig(logging.INFO, (), Span("f", 1, 1))
    plain = ApplicationConfig("a", "", (), True, 60, 10, log, Span("f", 1, 1))
    return replace(plain, **changes)


def test_an_application_of_its_configuration(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("no")
    made = make_application(
        config(
            hosts=("h",),
            detect_only=True,
            trusted_proxies=(ip_network("10.0.0.0/8"),),
            client_address_header="Forwarded",
            skip=Skip(("/static/*",), ("image/*",)),
            block_page=str(page),
            budget=Budget(5.0, "deny"),
            says_allow=True,
        ),
        NO_WAF,
        SHOP.store,
        LOGGER,
    )

    assert (made.hosts, made.detect_only, made.app.value, made.says_allow) == (("h",), True, "a", True)
    assert made.proxies is not None
    assert made.proxies.client("10.0.0.1", ((b"forwarded", b"for=192.0.2.1"),)) == ("192.0.2.1", 0)
    assert made.skip is not None
    assert made.skip.covers_path(b"/static/x", ())
    assert made.skip.covers_type(((b"content-type", b"image/png"),))
    assert made.block_page is not None
    assert made.budget is not None
    assert (made.budget.milliseconds, made.budget.action) == (5.0, "deny")


def test_a_plain_configuration_costs_nothing() -> None:
    made = make_application(config(), NO_WAF, SHOP.store, LOGGER)

    assert (made.proxies, made.skip, made.block_page, made.budget, made.detect_only) == (None, None, None, None, False)


def test_a_block_page_that_cannot_be_used_has_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        make_application(config(block_page="/none/x.html", block_page_at=Span("f", 7, 3)), NO_WAF, SHOP.store, LOGGER)

    (fault,) = caught.value.diagnostics
    assert "/none/x.html cannot be read" in fault.message
    assert fault.span == Span("f", 7, 3)

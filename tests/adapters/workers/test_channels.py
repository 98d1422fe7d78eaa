from __future__ import annotations

import socket

import pytest

from adapters.workers.channels import Channel, Kind, receive, send


def test_messages_keep_apart_and_carry_connections():
    channel = Channel()
    ours, theirs = socket.socketpair()
    assert receive(channel.inner) is None
    assert send(channel.outer, Kind.CONNECTION, theirs, 3, b"hello")
    assert channel.order(Kind.DRAIN)
    assert channel.order(Kind.EASE, b"\x32")
    theirs.close()
    first, second, third = receive(channel.inner), receive(channel.inner), receive(channel.inner)

    assert first is not None
    assert second is not None
    assert third is not None
    assert (third.kind, third.greeting) == (Kind.EASE, b"\x32")
    assert (first.kind, first.listener, first.greeting) == (Kind.CONNECTION, 3, b"hello")
    assert (second.kind, second.sock) == (Kind.DRAIN, None)
    assert first.sock is not None
    first.sock.sendall(b"it is the same connection")
    assert ours.recv(100) == b"it is the same connection"
    for each in (ours, first.sock, channel):
        each.close()


def test_a_full_queue_says_so_and_keeps_what_it_has():
    channel = Channel()
    count = 0
    while channel.order(Kind.REOPEN):
        count += 1
        assert count < 100_000

    assert count > 10
    for _ in range(count):
        message = receive(channel.inner)
        assert message is not None
        assert message.kind is Kind.REOPEN
    assert receive(channel.inner) is None
    channel.close()


def test_what_nobody_reads_is_taken_out():
    channel = Channel()
    ours, theirs = socket.socketpair()
    for kind in (Kind.CONNECTION, Kind.PEER, Kind.STOP):
        assert send(channel.outer, kind, theirs if kind is not Kind.STOP else None, 3, b"hello")
    theirs.close()
    (message,) = channel.empty()
    left = message.sock
    assert left is not None
    left.sendall(b"x")

    # Else one that came to a listener with TLS could go on without, and nobody would ask for its certificate.
    assert (message.listener, message.greeting) == (3, b"hello")

    assert ours.recv(1) == b"x"
    for each in (ours, left, channel):
        each.close()


def test_nobody_at_the_other_end():
    channel = Channel()
    channel.outer.close()
    with pytest.raises(EOFError):
        receive(channel.inner)
    assert not send(channel.inner, Kind.CONNECTION)
    channel.close()

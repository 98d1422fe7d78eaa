"""One suite for every loop: what a connection must do, whoever moves its bytes.

A loop's test file derives `Conformance` and says how to serve. The other end is `HAProxyConnection`, or bare bytes.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest

from adapters.bind import TcpBind, UnixBind
from adapters.sockets import listen
from spop_proto import (
    Ack,
    AgentDisconnect,
    AgentHello,
    HAProxyConnection,
    HAProxyDisconnect,
    HAProxyHello,
    Limits,
    Message,
    Notify,
    Scope,
    SetVar,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from spop_proto import Event

WAIT = 60.0  # seconds after which a test gives up; nothing waits that long when it passes


def echo(notify: Notify) -> list[SetVar]:
    """A handler that answers with the stream-id and the first argument."""
    value = notify.messages[0].args[0][1] if notify.messages and notify.messages[0].args else None
    return [SetVar(Scope.TRANSACTION, "stream", notify.stream_id), SetVar(Scope.TRANSACTION, "value", value)]


def notify(stream_id: int, value: Any = "x", frame_id: int = 1) -> Notify:
    return Notify(stream_id, frame_id, (Message("m", (("a", value),)),))


class Client:
    """HAProxy's side of one connection."""

    def __init__(self, address: Any, *, max_waiting_frames: int = 20, receive_buffer: int | None = None) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(WAIT)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.connection = HAProxyConnection(max_waiting_frames=max_waiting_frames)
        self.events: list[Event] = []

    def bytes_of(self, *events: Any) -> bytes:
        """The bytes of events; the connection takes them as sent."""
        for each in events:
            self.connection.send(each)
        out = b""
        while data := self.connection.data_to_send():
            out += data
        return out

    def send(self, *events: Any) -> None:
        self.sock.sendall(self.bytes_of(*events))

    def next(self) -> Event | None:
        """The next event, or None at the end of the stream."""
        while not self.events:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.events += self.connection.receive_data(data)
        return self.events.pop(0)

    def hello(self, **options: Any) -> AgentHello:
        self.send(HAProxyHello(**options))
        answer = self.next()
        assert isinstance(answer, AgentHello)
        return answer

    def answers(self, count: int) -> dict[int, dict[str, Any]]:
        """The variables of so many ACKs by stream-id, in their order."""
        found = {}
        for _ in range(count):
            ack = self.next()
            assert isinstance(ack, Ack), (found, ack)
            found[ack.stream_id] = {each.name: each.value for each in ack.actions if isinstance(each, SetVar)}
        return found

    def ask(self, stream_id: int, value: Any = "x") -> dict[str, Any]:
        self.send(notify(stream_id, value))
        return self.answers(1)[stream_id]

    def rest(self) -> list[Event]:
        """The events up to the end of the stream, or the reset that stands for it."""
        found = []
        try:
            while (event := self.next()) is not None:
                found.append(event)
        except ConnectionResetError:
            pass
        return found

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


def assert_no_more_is_read(client: Client, entered: threading.Semaphore, release: threading.Event) -> None:
    """Of an agent with three NOTIFYs in flight, whose handler counts itself in and waits to be released."""
    client.hello()
    frames = client.bytes_of(*(notify(number, "x" * 16_000) for number in range(1, 20)))
    sender = threading.Thread(target=client.sock.sendall, args=(frames,))
    sender.start()
    for _ in range(3):
        assert entered.acquire(timeout=WAIT)
    count = 3
    while entered.acquire(timeout=0.3):
        count += 1
    release.set()

    # What one read brings is decoded at once: at most four of these beyond the bound.
    assert count <= 3 + 65_536 // 16_000
    assert sorted(client.answers(19)) == list(range(1, 20))
    sender.join(WAIT)


class Running:
    """A loop at work: its address, its log, and how to stop it."""

    def __init__(
        self, address: Any, lines: list[logging.LogRecord], stop: Callable[[], None], join: Callable[[], None]
    ) -> None:
        self.address, self.lines, self.stop, self.join = address, lines, stop, join
        self._clients: list[Client] = []

    def client(self, **options: Any) -> Client:
        made = Client(self.address, **options)
        self._clients.append(made)
        return made

    def close(self) -> None:
        for each in self._clients:
            each.close()

    def loud(self) -> list[str]:
        """The log lines above info."""
        return [record.getMessage() for record in self.lines if record.levelno > logging.INFO]


def recording_logger() -> tuple[logging.Logger, list[logging.LogRecord]]:
    logger = logging.Logger("test", 1)  # noqa: LOG001  of this test alone
    lines: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign,assignment]  # the shortest list of records
    logger.addHandler(handler)
    return logger, lines


class Recorder(socket.socket):
    """An accepted connection that remembers what each call wrote, and whether it left at once."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.writes: list[bytes] = []
        self.no_delay = True

    def send(self, data: Any, flags: int = 0) -> int:
        self._record(data)
        return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._record(data)
        super().sendall(data, flags)

    def _record(self, data: Any) -> None:
        self.writes.append(bytes(data))
        self.no_delay = self.no_delay and bool(self.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


class RecordingListener(socket.socket):
    """A listening socket whose connections are `Recorder`s."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.family, listener.type, listener.proto, listener.detach())
        self.setblocking(False)
        self.accepted: list[Recorder] = []
        self.failures: list[OSError] = []

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            raise self.failures.pop()
        plain, address = super().accept()
        self.accepted.append(Recorder(plain.family, plain.type, plain.proto, plain.detach()))
        return self.accepted[-1], address


HELLO = bytes.fromhex(
    "00000040650000000100000776657273696f6e0803322e300e6d61782d6672616d652d73697a6503fcf0060c6361706162696c697469657308"
    "0a706970656c696e696e67"
)
"""An AGENT-HELLO (spop.md 1.8, frame 4)."""

PATIENT = Limits(hello_timeout=WAIT, frame_timeout=WAIT / 2, fragment_timeout=WAIT, refusal_delay=0.0)
"""A client of the tests may be held up by a busy machine at any place."""
QUICK_HELLO = Limits(hello_timeout=0.1, frame_timeout=0.2, refusal_delay=0.0)
QUICK = Limits(hello_timeout=WAIT, frame_timeout=0.2, refusal_delay=0.0)


class Conformance:
    """What every loop must do.

    `many` says whether it serves several connections at a time, `any_order` whether a connection's answers may overtake
    each other; `blocking` makes a handler that waits one that this loop can take.
    """

    many = True
    any_order = True

    def blocking(self, handler: Any) -> Any:
        return handler

    def serve(
        self, listeners: list[socket.socket], handler: Any, logger: logging.Logger, limits: Limits | None
    ) -> tuple[Callable[[], None], Callable[[], None]]:
        """Begin to serve; what stops it (without waiting), and what waits for its end."""
        raise NotImplementedError

    @pytest.fixture
    def start(self) -> Iterator[Callable[..., Running]]:
        """Start the loop with a handler; it is stopped at the end, and must then have ended."""
        started: list[Running] = []

        def begin(
            handler: Any = echo, *, limits: Limits | None = None, bind: Any = None, listeners: Any = None
        ) -> Running:
            listeners = listen(bind or TcpBind("127.0.0.1", 0)) if listeners is None else listeners
            address = listeners[0].getsockname()
            logger, lines = recording_logger()
            stop, join = self.serve(listeners, handler, logger, limits or PATIENT)
            started.append(Running(address, lines, stop, join))
            return started[-1]

        yield begin
        for each in started:
            each.stop()
            each.close()
            each.join()

    def test_hello(self, start: Callable[..., Running]) -> None:
        answer = start().client().hello(max_frame_size=8000)

        assert (answer.version, answer.max_frame_size) == ("2.0", 8000)
        assert "pipelining" in answer.capabilities

    def test_a_health_check_is_answered_and_closed(self, start: Callable[..., Running]) -> None:
        running = start()
        client = running.client()
        client.hello(healthcheck=True, capabilities=())

        assert client.rest() == []
        assert running.loud() == []

    def test_a_notify_is_answered(self, start: Callable[..., Running]) -> None:
        client = start().client()
        client.hello()

        assert client.ask(1, "é \udcff") == {"stream": 1, "value": "é \udcff"}
        assert client.ask(3, b"\0") == {"stream": 3, "value": b"\0"}

    def test_the_first_stream_of_haproxy_has_number_0(self, start: Callable[..., Running]) -> None:
        client = start().client()
        client.hello()

        assert client.ask(0)["stream"] == 0

    def test_several_in_flight_are_all_answered(self, start: Callable[..., Running]) -> None:
        client = start().client()
        client.hello()
        streams = [7, 3, 11, 5, 1, 9, 2, 8, 4, 6]
        client.send(*(notify(number, number) for number in streams))

        assert client.answers(10) == {number: {"stream": number, "value": number} for number in streams}

    def test_hello_and_a_notify_in_one_packet(self, start: Callable[..., Running]) -> None:
        client, twin = start().client(), HAProxyConnection()
        first = client.bytes_of(HAProxyHello())
        # A connection that is further on makes the bytes that this one may not send yet.
        twin.send(HAProxyHello())
        twin.receive_data(HELLO)
        twin.data_to_send()
        twin.send(notify(1))
        client.sock.sendall(first + twin.data_to_send())

        data = b""
        while b"stream" not in data:  # the name of a variable of the answer
            data += client.sock.recv(65536)

        assert b"2.0" in data

    def test_one_byte_at_a_time(self, start: Callable[..., Running]) -> None:
        client = start().client()
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in client.bytes_of(HAProxyHello()):
            client.sock.sendall(bytes((byte,)))
        assert isinstance(client.next(), AgentHello)
        for byte in client.bytes_of(notify(1, "abc")):
            client.sock.sendall(bytes((byte,)))

        assert client.answers(1) == {1: {"stream": 1, "value": "abc"}}

    def test_each_frame_is_one_write_that_leaves_at_once(self, start: Callable[..., Running]) -> None:
        """HAProxy 3.1 and later reset a connection whose HELLO comes in pieces (haproxy#3478)."""
        listener = RecordingListener(listen(TcpBind("127.0.0.1", 0))[0])
        client = start(listeners=[listener]).client()
        client.hello()
        client.send(*(notify(number, "x" * number * 100) for number in range(1, 8)))
        client.answers(7)
        client.send(HAProxyDisconnect())
        assert client.rest() == [AgentDisconnect()]

        (accepted,) = listener.accepted
        assert accepted.no_delay
        for data in accepted.writes:
            assert _ends_of_frames(data)[-1] == len(data), data
        assert sum(len(_ends_of_frames(data)) for data in accepted.writes) == 9

    def test_a_slow_reader_stops_being_read_and_loses_nothing(self, start: Callable[..., Running]) -> None:
        answered = threading.Semaphore(0)
        big = b"x" * 15_000

        def handler(asked: Notify) -> list[SetVar]:
            answered.release()
            return [SetVar(Scope.TRANSACTION, "n", asked.stream_id), SetVar(Scope.TRANSACTION, "big", big)]

        total = 1500  # answers of 22 MB: more than the buffers of both sockets ever take
        client = start(handler).client(max_waiting_frames=total, receive_buffer=4096)
        client.hello()
        data = client.bytes_of(*(notify(number) for number in range(1, total + 1)))
        sender = threading.Thread(target=client.sock.sendall, args=(data,))
        sender.start()
        assert answered.acquire(timeout=WAIT)
        count = 1
        while answered.acquire(timeout=0.3):
            count += 1
        assert count < total, count

        found = client.answers(total)
        sender.join(WAIT)
        assert sorted(found) == list(range(1, total + 1))
        assert all(values["big"] == big for values in found.values())

    def test_a_reader_that_does_not_read_is_given_up(self, start: Callable[..., Running]) -> None:
        running = start(lambda _: [SetVar(Scope.TRANSACTION, "big", b"x" * 15_000)], limits=QUICK)
        client = running.client(max_waiting_frames=1500, receive_buffer=4096)
        client.hello()
        client.send(*(notify(number) for number in range(1, 1501)))

        lost = threading.Event()
        for _ in range(int(WAIT / 0.02)):
            if lost.wait(0.02) or "connection lost" in [record.getMessage() for record in running.lines]:
                break
        else:
            pytest.fail("it is still waiting")
        assert running.loud() == []

    def test_half_close_still_gets_its_answer(self, start: Callable[..., Running]) -> None:
        client = start().client()
        client.hello()
        client.send(notify(1))
        client.sock.shutdown(socket.SHUT_WR)

        assert client.answers(1)[1]["stream"] == 1
        assert client.rest() == []

    def test_a_reset_is_no_news_and_harms_nobody(self, start: Callable[..., Running]) -> None:
        running = start()
        for cut in (0, 10, 4096):
            client = running.client()
            client.sock.sendall(client.bytes_of(HAProxyHello())[:cut])
            client.reset()
        client = running.client()
        client.hello()
        client.sock.sendall(client.bytes_of(notify(1))[:9])
        client.reset()
        after = running.client()
        after.hello()

        assert after.ask(1)["stream"] == 1
        assert running.loud() == []

    def test_an_oversize_frame_is_refused_with_its_status(self, start: Callable[..., Running]) -> None:
        running = start()
        other = running.client() if self.many else None
        if other is not None:
            other.hello()
        client = running.client()
        client.hello(max_frame_size=1000)
        client.sock.sendall(struct.pack(">I", 1001) + b"\x03" + b"\0" * 100)

        (goodbye,) = client.rest()
        assert isinstance(goodbye, AgentDisconnect)
        assert goodbye.status == 3
        if other is not None:
            assert other.ask(1)["stream"] == 1
        assert running.loud() == ["connection refused"]

    @pytest.mark.parametrize(
        ("data", "name"),
        [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 50, "HTTP"),
            (b"POST /x HTTP/1.1\r\n\r\n", "HTTP"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500, "TLS"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "the PROXY protocol"),
        ],
    )
    def test_something_else_on_the_port_is_called_by_its_name(
        self, start: Callable[..., Running], data: bytes, name: str
    ) -> None:
        running = start()
        client = running.client()
        client.sock.sendall(data)
        client.rest()

        (record,) = [record for record in running.lines if record.levelno > logging.INFO]
        assert record.getMessage() == "connection refused"
        assert record.fields["reason"] == f"{name} instead of SPOP"  # type: ignore[attr-defined]  # set by event()

    def test_a_port_scan_is_no_news(self, start: Callable[..., Running]) -> None:
        running = start()
        for _ in range(5):
            running.client().close()
        client = running.client()
        client.hello()

        assert running.loud() == []

    def test_a_handler_that_raises_is_answered_at_once(self, start: Callable[..., Running]) -> None:
        def handler(asked: Notify) -> list[SetVar]:
            if asked.stream_id == 1:
                raise RuntimeError("boom")
            return echo(asked)

        running = start(handler)
        client = running.client()
        client.hello()

        assert client.ask(1) == {"error": 512, "reason": "internal-error"}
        assert client.ask(3)["stream"] == 3
        (record,) = [record for record in running.lines if record.levelno > logging.INFO]
        assert record.exc_info is not None
        assert "boom" in str(record.exc_info[1])

    @pytest.mark.parametrize(
        "actions",
        [
            [SetVar(Scope.TRANSACTION, "bad name", 1)],
            [SetVar(Scope.TRANSACTION, "n", 2**70)],
            [SetVar(Scope.TRANSACTION, "n", "x" * 20_000)],
            ["no action"],
            None,
        ],
    )
    def test_an_answer_that_cannot_be_sent_becomes_an_error(self, start: Callable[..., Running], actions: Any) -> None:
        running = start(lambda _: actions)
        client = running.client()
        client.hello()

        assert client.ask(1) == {"error": 512, "reason": "internal-error"}
        assert running.loud() == ["the handler raised"]

    def test_haproxys_disconnect_is_answered(self, start: Callable[..., Running]) -> None:
        running = start()
        client = running.client()
        client.hello()
        client.send(HAProxyDisconnect())

        assert client.rest() == [AgentDisconnect()]
        assert running.loud() == []

    def test_who_says_no_hello_is_sent_away(self, start: Callable[..., Running]) -> None:
        running = start(limits=QUICK_HELLO)
        client = running.client()
        client.sock.settimeout(WAIT)
        data = b""
        while chunk := client.sock.recv(65536):
            data += chunk

        assert b"HELLO" in data
        assert running.loud() == ["connection refused"]

    def test_a_frame_that_does_not_end_is_given_up(self, start: Callable[..., Running]) -> None:
        client = start(limits=QUICK).client()
        client.hello()
        client.sock.sendall(client.bytes_of(notify(1))[:-1])

        (goodbye,) = client.rest()
        assert isinstance(goodbye, AgentDisconnect)
        assert goodbye.status == 2

    def test_an_idle_connection_is_kept(self, start: Callable[..., Running]) -> None:
        client = _hello_in_time(start(limits=QUICK_HELLO))
        client.sock.settimeout(0.4)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)
        client.sock.settimeout(WAIT)

        assert client.ask(1)["stream"] == 1

    def test_stopping_ends_idle_connections_politely(self, start: Callable[..., Running]) -> None:
        running = start()
        client = running.client()
        client.hello()
        client.ask(1)
        running.stop()

        assert client.rest() == [AgentDisconnect()]
        running.join()
        with pytest.raises(OSError, match=r"refused|reset"):
            running.client().hello()

    def test_stopping_while_busy_answers_what_is_in_hand(self, start: Callable[..., Running]) -> None:
        entered, release = threading.Semaphore(0), threading.Event()

        def handler(asked: Notify) -> list[SetVar]:
            entered.release()
            release.wait(WAIT)
            return echo(asked)

        running = start(self.blocking(handler))
        client = running.client()
        client.hello()
        client.send(notify(1), notify(3))
        for _ in range(2 if self.any_order else 1):
            assert entered.acquire(timeout=WAIT)
        running.stop()
        release.set()

        assert set(client.answers(2)) == {1, 3}
        assert client.rest() == [AgentDisconnect()]
        running.join()

    def test_stopping_inside_a_frame_waits_for_its_rest(self, start: Callable[..., Running]) -> None:
        running = start()
        client = running.client()
        client.hello()
        data = client.bytes_of(notify(1), notify(3))
        client.sock.sendall(data[:-5])
        assert set(client.answers(1)) == {1}
        running.stop()
        for _ in range(int(WAIT / 0.02)):  # the stop is seen once nobody accepts any more
            try:
                socket.create_connection(running.address, 0.02).close()
            except OSError:
                break
        client.sock.sendall(data[-5:])

        assert set(client.answers(1)) == {3}
        assert client.rest() == [AgentDisconnect()]

    def test_a_unix_socket(self, start: Callable[..., Running], tmp_path: Path) -> None:
        path = tmp_path / "agent.sock"
        running = start(bind=UnixBind(str(path)))
        client = running.client()
        client.hello()
        assert client.ask(1)["stream"] == 1
        running.stop()
        client.rest()
        running.join()

        assert not path.exists()

    def test_answers_leave_as_soon_as_they_are_ready(self, start: Callable[..., Running]) -> None:
        """Of NOTIFYs that came together, the first is answered while the second is still being handled."""
        release = threading.Event()

        def handler(asked: Notify) -> list[SetVar]:
            if asked.stream_id == 3:
                release.wait(WAIT)
            return echo(asked)

        client = start(self.blocking(handler)).client()
        client.hello()
        client.send(notify(1), notify(3))
        assert list(client.answers(1)) == [1]
        release.set()

        assert list(client.answers(1)) == [3]

    def test_answers_overtake_each_other(self, start: Callable[..., Running]) -> None:
        if not self.any_order:
            pytest.skip("this loop handles a connection's NOTIFYs one after the other")
        release = threading.Event()

        def handler(asked: Notify) -> list[SetVar]:
            if asked.stream_id == 1:
                release.wait(WAIT)
            elif asked.stream_id == 9:
                release.set()
            return echo(asked)

        client = start(self.blocking(handler)).client()
        client.hello()
        client.send(*(notify(number) for number in (1, 3, 5, 7)))
        early = client.answers(3)
        client.send(notify(9))

        assert sorted(early) == [3, 5, 7]
        assert sorted(client.answers(2)) == [1, 9]

    def test_a_handler_that_blocks_holds_up_no_other_connection(self, start: Callable[..., Running]) -> None:
        if not self.many:
            pytest.skip("this loop serves one connection")
        release = threading.Event()

        def handler(asked: Notify) -> list[SetVar]:
            if asked.stream_id == 1:
                release.wait(WAIT)
            return echo(asked)

        running = start(self.blocking(handler))
        first, second = running.client(), running.client()
        first.hello()
        first.send(notify(1))
        second.hello()
        assert second.ask(3)["stream"] == 3
        release.set()

        assert list(first.answers(1)) == [1]

    def test_a_machine_out_of_descriptors_is_said_and_survived(self, start: Callable[..., Running]) -> None:
        if not self.many:
            pytest.skip("this loop is given its connection")
        listener = RecordingListener(listen(TcpBind("127.0.0.1", 0))[0])
        listener.failures = [OSError(errno.EMFILE, "too many open files"), ConnectionAbortedError()]
        running = start(listeners=[listener])
        client = running.client()
        client.hello()

        assert client.ask(1)["stream"] == 1
        assert running.loud() == ["a connection could not be accepted"]

    def test_a_slow_handler_answers_all_the_same(self, start: Callable[..., Running]) -> None:
        def handler(asked: Notify) -> list[SetVar]:
            threading.Event().wait(0.02)
            return echo(asked)

        client = start(handler).client()
        client.hello()
        client.send(*(notify(number) for number in range(1, 11)))

        assert sorted(client.answers(10)) == list(range(1, 11))

    def test_a_generator_that_raises_is_answered_at_once(self, start: Callable[..., Running]) -> None:
        def handler(_: Notify) -> Iterator[SetVar]:
            yield SetVar(Scope.TRANSACTION, "a", 1)
            raise KeyError("boom")

        running = start(handler)
        client = running.client()
        client.hello()

        assert client.ask(1) == {"error": 512, "reason": "internal-error"}
        assert client.ask(3) == {"error": 512, "reason": "internal-error"}
        assert running.loud() == ["the handler raised"] * 2

    @pytest.mark.slow
    def test_a_thousand_connections(self, start: Callable[..., Running]) -> None:
        """At the same time, where the loop can."""
        _allow_files(4096)
        running = start()
        count, at_a_time = 1000, 1000 if self.many else 1
        found = {}
        for begin in range(1, count + 1, at_a_time):
            clients = {number: running.client() for number in range(begin, begin + at_a_time)}
            for each in clients.values():
                each.hello()
            for number, each in clients.items():
                each.send(notify(number))
            for each in clients.values():
                found |= each.answers(1)
                each.close()

        assert found == {number: {"stream": number, "value": "x"} for number in range(1, count + 1)}
        assert running.loud() == []


def _hello_in_time(running: Running) -> Client:
    """A client whose HELLO came while the agent waited for it: on a busy machine the first may come late."""
    for _ in range(100):
        client = running.client()
        with contextlib.suppress(OSError):
            client.send(HAProxyHello())
            if isinstance(client.next(), AgentHello):
                return client
        client.close()
    pytest.fail("no HELLO came in time")


def _ends_of_frames(data: bytes) -> list[int]:
    """Where the frames end that begin in these bytes."""
    ends = [0]
    while ends[-1] < len(data):
        ends.append(ends[-1] + 4 + int.from_bytes(data[ends[-1] : ends[-1] + 4], "big"))
    return ends[1:]


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard < count:
            pytest.skip(f"this user may open {hard} files only")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))

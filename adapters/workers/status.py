"""What every process of the agent tells the others: a table of numbers in shared memory, without locks.

Here: the numbers and who may write which. The supervisor writes those of the agent, a worker those of its slot, and the
generation that a worker belongs to `pid`, `incarnation`, `state` and `restarts`; so each number has one writer at a
time, and is written by one store of eight bytes. Anyone may read: `Status.report` is for metrics, health checks and
systemd's status line. Not here: which transaction waits where (directory.py).

An agent of one process has such a table too, with one slot.
"""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from enum import IntEnum


class State(IntEnum):
    """What a slot is used for."""

    FREE = 0
    STARTING = 1
    SERVING = 2
    DRAINING = 3
    """Takes no new connections; answers what waits for its response."""
    DEAD = 4
    """Its process is gone; nobody has taken its place yet."""


class _Header(IntEnum):
    GENERATION = 0
    RELOADS = 1
    RELOADS_FAILED = 2
    RELOADED_MS = 3
    RELOAD_FAILED_MS = 4
    COMPILING = 5
    STARTED_MS = 6
    STOPPING = 7
    COUNT = 16


class _Field(IntEnum):
    PID = 0
    GENERATION = 1
    INCARNATION = 2
    STATE = 3
    HEARTBEAT_MS = 4
    CONNECTIONS = 5
    ADOPTED = 6
    WAITING = 7
    FORWARDED = 8
    FORWARDS_FAILED = 9
    BUSY_US = 10
    RESTARTS = 11
    HANGS = 12
    COUNT = 16


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """One worker at one moment.

    Attributes:
        slot: its place in the table; metrics may use it as a label, for it is bounded and reused.
        pid: its process.
        generation: the load of configuration and rules that it belongs to, counted from 1.
        state: what it does.
        silent: seconds since it last said that it is alive.
        connections: open now.
        waiting: transactions that wait for their response.
        forwarded: responses that it passed on to the worker that keeps the transaction, since the slot was first used.
        forwards_failed: those of them that got no answer in time.
        busy: seconds of processor time that it has used.
        restarts: how often a worker of this slot had to be replaced.
        hangs: those of them that were killed because they hung.
    """

    slot: int
    pid: int
    generation: int
    state: State
    silent: float
    connections: int
    waiting: int
    forwarded: int
    forwards_failed: int
    busy: float
    restarts: int
    hangs: int


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The agent at one moment. Times are seconds since 1970, 0.0 for never.

    Attributes:
        started: when the agent was started.
        generation: how often configuration and rules were put to work; 0 before the first time.
        reloads: reloads that were put to work.
        reloads_failed: reloads that were refused.
        reloaded: when the last one was put to work.
        reload_failed: when the last one was refused.
        compiling: whether patterns are being compiled, so that the reference interpreter serves or a reload waits.
        stopping: whether it was told to stop.
        restarts: workers that were replaced because they died or hung; never falls.
        hangs: those of them that hung; never falls.
        forwarded: responses passed on between workers; never falls.
        forwards_failed: those of them without an answer in time; never falls.
        waiting: transactions that wait for their response.
        connections: open now.
        workers: those that run.
    """

    started: float
    generation: int
    reloads: int
    reloads_failed: int
    reloaded: float
    reload_failed: float
    compiling: bool
    stopping: bool
    restarts: int
    hangs: int
    forwarded: int
    forwards_failed: int
    waiting: int
    connections: int
    workers: tuple[WorkerReport, ...]

    @property
    def ready(self) -> bool:
        """Whether a worker serves, and the agent is not stopping: what a readiness probe asks."""
        return not self.stopping and any(each.state is State.SERVING for each in self.workers)


class Slot:
    """The numbers of one worker. Attributes as in `WorkerReport`; each may be set by its writer."""

    __slots__ = ("_cells", "index")

    def __init__(self, index: int, cells: memoryview) -> None:
        self.index, self._cells = index, cells

    @property
    def pid(self) -> int:
        """The worker's process; 0: none."""
        return int(self._cells[_Field.PID])

    @property
    def generation(self) -> int:
        """The generation it belongs to."""
        return int(self._cells[_Field.GENERATION])

    @property
    def incarnation(self) -> int:
        """Which of the slot's workers it is: 1 to 255, so that entries of its predecessors can be told from its own."""
        return int(self._cells[_Field.INCARNATION])

    @property
    def state(self) -> State:
        """What the slot is used for."""
        return State(self._cells[_Field.STATE])

    @state.setter
    def state(self, state: State) -> None:
        self._cells[_Field.STATE] = state

    @property
    def connections(self) -> int:
        """Connections that are open, as the worker says."""
        return int(self._cells[_Field.CONNECTIONS])

    @connections.setter
    def connections(self, count: int) -> None:
        self._cells[_Field.CONNECTIONS] = count

    @property
    def adopted(self) -> int:
        """Connections that workers of this slot ever took."""
        return int(self._cells[_Field.ADOPTED])

    @property
    def waiting(self) -> int:
        """Transactions that wait for their response."""
        return int(self._cells[_Field.WAITING])

    @waiting.setter
    def waiting(self, count: int) -> None:
        self._cells[_Field.WAITING] = count

    @property
    def busy(self) -> float:
        """Seconds of processor time that the worker has used."""
        return int(self._cells[_Field.BUSY_US]) / 1e6

    @busy.setter
    def busy(self, seconds: float) -> None:
        self._cells[_Field.BUSY_US] = int(seconds * 1e6)

    @property
    def silent(self) -> float:
        """Seconds since the last `beat`."""
        return (_clock_ms() - self._cells[_Field.HEARTBEAT_MS]) / 1000

    def begin(self, generation: int) -> None:
        """A new worker is about to be started in this slot."""
        cells = self._cells
        cells[_Field.GENERATION] = generation
        cells[_Field.INCARNATION] = cells[_Field.INCARNATION] % 255 + 1
        cells[_Field.CONNECTIONS] = cells[_Field.WAITING] = cells[_Field.PID] = cells[_Field.BUSY_US] = 0
        self.state = State.STARTING
        self.beat()

    def born(self, pid: int) -> None:
        """The worker has this process."""
        self._cells[_Field.PID] = pid

    def gone(self, state: State) -> None:
        """The worker's process has ended."""
        cells = self._cells
        cells[_Field.CONNECTIONS] = cells[_Field.WAITING] = cells[_Field.PID] = cells[_Field.BUSY_US] = 0
        self.state = state

    def beat(self) -> None:
        """The worker is alive."""
        self._cells[_Field.HEARTBEAT_MS] = _clock_ms()

    def count_adopted(self) -> None:
        """The worker took a connection."""
        self._cells[_Field.ADOPTED] += 1

    def count_forwarded(self) -> None:
        """A response was passed on."""
        self._cells[_Field.FORWARDED] += 1

    def count_forward_failed(self) -> None:
        """A response that was passed on got no answer in time."""
        self._cells[_Field.FORWARDS_FAILED] += 1

    def count_restart(self, *, hung: bool) -> None:
        """The worker had to be replaced."""
        self._cells[_Field.RESTARTS] += 1
        self._cells[_Field.HANGS] += hung

    def report(self) -> WorkerReport:
        """All of it."""
        cells = self._cells.tolist()
        return WorkerReport(
            slot=self.index,
            pid=cells[_Field.PID],
            generation=cells[_Field.GENERATION],
            state=State(cells[_Field.STATE]),
            silent=max(0.0, (_clock_ms() - cells[_Field.HEARTBEAT_MS]) / 1000),
            connections=cells[_Field.CONNECTIONS],
            waiting=cells[_Field.WAITING],
            forwarded=cells[_Field.FORWARDED],
            forwards_failed=cells[_Field.FORWARDS_FAILED],
            busy=cells[_Field.BUSY_US] / 1e6,
            restarts=cells[_Field.RESTARTS],
            hangs=cells[_Field.HANGS],
        )


class Status:
    """The table. Make it before any process is forked.

    Args:
        slots: how many workers there may be at a time, those of former generations included.
    """

    def __init__(self, slots: int) -> None:
        memory = mmap.mmap(-1, 8 * (_Header.COUNT + slots * _Field.COUNT))  # shared and anonymous
        cells = memoryview(memory).cast("Q")
        self._header = cells[: _Header.COUNT]
        rows = range(_Header.COUNT, len(cells), _Field.COUNT)
        self.slots = tuple(Slot(index, cells[row : row + _Field.COUNT]) for index, row in enumerate(rows))
        self._header[_Header.STARTED_MS] = _milliseconds()

    @property
    def generation(self) -> int:
        """The generation at work; 0 before the first."""
        return int(self._header[_Header.GENERATION])

    def put_to_work(self, generation: int, *, reload: bool) -> None:
        """A generation serves from now on.

        Args:
            generation: its number.
            reload: whether somebody asked for it, other than by starting the agent.
        """
        self._header[_Header.GENERATION] = generation
        if reload:
            self._header[_Header.RELOADS] += 1
            self._header[_Header.RELOADED_MS] = _milliseconds()

    def reload_failed(self) -> None:
        """A reload was refused."""
        self._header[_Header.RELOADS_FAILED] += 1
        self._header[_Header.RELOAD_FAILED_MS] = _milliseconds()

    def compiling(self, now: bool) -> None:
        """Whether patterns are being compiled."""
        self._header[_Header.COMPILING] = now

    def stop(self) -> None:
        """The agent was told to stop."""
        self._header[_Header.STOPPING] = 1

    def report(self) -> StatusReport:
        """Everything, at this moment."""
        header = self._header.tolist()
        every = [slot.report() for slot in self.slots]
        return StatusReport(
            started=header[_Header.STARTED_MS] / 1000,
            generation=header[_Header.GENERATION],
            reloads=header[_Header.RELOADS],
            reloads_failed=header[_Header.RELOADS_FAILED],
            reloaded=header[_Header.RELOADED_MS] / 1000,
            reload_failed=header[_Header.RELOAD_FAILED_MS] / 1000,
            compiling=bool(header[_Header.COMPILING]),
            stopping=bool(header[_Header.STOPPING]),
            restarts=sum(each.restarts for each in every),
            hangs=sum(each.hangs for each in every),
            forwarded=sum(each.forwarded for each in every),
            forwards_failed=sum(each.forwards_failed for each in every),
            waiting=sum(each.waiting for each in every),
            connections=sum(each.connections for each in every),
            workers=tuple(each for each in every if each.pid),
        )

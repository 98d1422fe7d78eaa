from __future__ import annotations

import os

from adapters.workers.status import State, Status


def test_what_one_process_writes_another_reads():
    status = Status(2)
    slot = status.slots[1]
    slot.begin(7)
    child = os.fork()
    if not child:
        slot.born(os.getpid())
        slot.state = State.SERVING
        slot.connections, slot.waiting = 3, 2
        slot.count_adopted()
        slot.busy = 1.25
        slot.count_forwarded()
        slot.count_forward_failed()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    status.put_to_work(7, reload=True)
    report = status.report()

    (worker,) = report.workers
    assert (worker.slot, worker.pid, worker.generation, worker.state) == (1, child, 7, State.SERVING)
    assert (report.connections, report.waiting, worker.busy, slot.busy) == (3, 2, 1.25, 1.25)
    assert (report.forwarded, report.forwards_failed) == (1, 1)
    assert (report.generation, report.reloads, report.reloads_failed) == (7, 1, 0)
    assert report.reloaded >= report.started > 0
    assert report.reload_failed == 0
    assert report.ready


def test_counters_outlive_a_worker_and_what_is_open_does_not():
    status = Status(1)
    slot = status.slots[0]
    slot.begin(1)
    slot.born(11)
    slot.connections, slot.busy = 5, 9.0
    slot.count_forwarded()
    slot.count_restart(hung=True)
    slot.gone(State.DEAD)
    slot.begin(1)
    slot.born(12)
    report = status.report()

    assert (report.restarts, report.hangs, report.forwarded, report.connections) == (1, 1, 1, 0)
    assert slot.busy == 0
    assert slot.incarnation == 2
    assert slot.silent < 60
    assert not report.ready, "it only starts"


def test_incarnations_are_never_zero():
    slot = Status(1).slots[0]
    seen = set()
    for _ in range(600):
        slot.begin(1)
        seen.add(slot.incarnation)

    assert seen == set(range(1, 256))


def test_an_agent_that_stops_is_not_ready():
    status = Status(1)
    slot = status.slots[0]
    slot.begin(1)
    slot.born(1)
    slot.state = State.SERVING
    assert status.report().ready
    status.compiling(True)
    status.reload_failed()
    status.stop()
    report = status.report()

    assert not report.ready
    assert report.compiling
    assert report.reload_failed >= report.started

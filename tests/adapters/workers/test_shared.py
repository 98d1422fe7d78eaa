from __future__ import annotations

import os
import select
import signal

from adapters.workers.shared import Shared, leave_signals_to_the_supervisor


def test_children_notice_the_end_of_the_supervisor():
    shared = Shared(1)
    done, told = os.pipe()
    child = os.fork()
    if not child:
        shared.forked()
        alive = not select.select([shared.lifeline], [], [], 0)[0]
        os.write(told, b"x")
        gone = bool(select.select([shared.lifeline], [], [], 60)[0])
        os._exit(0 if alive and gone else 1)
    assert os.read(done, 1) == b"x"
    shared.close()

    assert os.waitpid(child, 0)[1] == 0
    os.close(done)
    os.close(told)


def test_children_leave_signals_alone():
    child = os.fork()
    if not child:
        leave_signals_to_the_supervisor()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0

"""What an agent counts, and how Prometheus reads it.

- `table.py`: every metric, as data; docs/metrics.md shows it.
- `observer.py`: what the parts of the agent call; it does nothing when metrics are off.
- `sheet.py`: the numbers of one process, in memory that its supervisor can read.
- `recorder.py`: the observer that writes to a sheet.
- `board.py`: the sheets of all processes, living and ended, added up for Prometheus. Only this file needs
  prometheus_client.

The process that serves /metrics makes a `Board` and gives it the applications (`Board.configure`). Before a worker is
forked it makes a sheet (`Board.sheet`); in the worker, `Recorder(sheet)` is the observer; after the fork it says whose
the sheet is (`Board.worker_started`), and when the worker has ended, so (`Board.worker_ended`).
"""

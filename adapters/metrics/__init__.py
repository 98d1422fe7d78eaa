"""What an agent counts, and how Prometheus reads it.

- `table.py`: every metric, as data; docs/metrics.md shows it.
- `observer.py`: what the parts of the agent call; it does nothing when metrics are off.
- `sheet.py`: the numbers of one process, in memory that its supervisor can read.
- `recorder.py`: the observer that writes to a sheet.
- `facts.py`: what is known of the rules.
- `sampling.py`: what is looked at now and then.
- `board.py`: the sheets of all processes, living and ended, added up for Prometheus. Only this file needs
  prometheus_client.

The process that serves /metrics makes a `Board` (health.py: `Monitor`) and gives it the facts of the applications
(`Board.configure`), at the start and after each reload. For each worker it makes a sheet (`Board.new_sheet`), which the
worker has by being forked or by its descriptor, and gives it to a `Recorder`, its observer. A worker that takes the
place of another one may go on with its sheet. When nobody is to write to a sheet any more, `Board.retire`.
"""

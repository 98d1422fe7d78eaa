"""The command `spoa-waf profile`: where the time of requests goes.

`corpus` has the requests, `command` runs them through a `waf_engine.profiling.ProfiledWAF`, `report` writes what came
of it; `arguments` is all that the agent imports.
"""

"""Several processes that serve as one agent: a supervisor, generations that hold the rules, workers that answer.

`supervisor.py` is the file to read first. docs/processes.md is for operators.
"""

"""Tests of rules in go-ftw's YAML form, run in this process: no proxy, no server, no log file.

    YAML --documents, model--> cases --request--> raw bytes --http_parser--> what a proxy would hand to the agent
    --exchange (a transaction, and backend for the response)--> what happened --judge--> faults --report--> people, CI

`runner` goes through the cases, in several processes; `overrides` changes what they expect. Format:
github coreruleset/ftw-tests-schema; behaviour: engine.md section 3, "go-ftw, stage by stage". `arguments` and `command`
are the command line. Nothing is imported here: the agent shall not pay for it.
"""

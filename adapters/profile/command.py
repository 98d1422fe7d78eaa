"""What `spoa-waf profile` does: rules and requests loaded, run, reported. Not here: the arguments (arguments.py)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from adapters.ftw.command import UsageError, load_rules
from adapters.profile.corpus import CorpusError, load_corpus
from adapters.profile.report import Profile, as_json, as_text
from adapters.rule_sets import rule_language
from waf_engine.profiling import ProfiledWAF

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from adapters.ftw.http_parser import ParsedRequest
    from adapters.profile.corpus import Sample

PAGE = b"<!doctype html><title>shop</title>" + b"<p>what a quiet page of prose this is</p>\n" * 48


def run_profile_command(options: argparse.Namespace) -> int:
    """Run the requests and write the profile.

    Args:
        options: as `arguments.py` has them parsed.

    Returns:
        The exit status: 0 done, 2 nothing could be run.
    """
    try:
        samples, refused = load_corpus(options.paths)
        plan = load_rules(options).plan
    except (CorpusError, UsageError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if refused:
        sys.stderr.write(f"left out: {refused} requests that a server answers itself\n")
    registries = rule_language(plugins=not options.no_plugins)
    memory = {} if options.memory else {"scan_memory": 0}
    waf = ProfiledWAF(plan, registries, executor=options.executor, **memory)
    waf.log.audit = waf.log.debug = None  # a profile leaves no traces in the logs of the site
    run_samples(waf, samples, 1, response=options.response)  # what is made once is there by now
    with waf.measuring():
        run_samples(waf, samples, options.rounds, response=options.response)
    profile = Profile(plan, options.executor, len(samples), options.rounds, tuple(waf.meter.rows()))
    sys.stdout.write(as_json(profile) if options.json else as_text(profile, options.top))
    return 0


def run_samples(waf: ProfiledWAF, samples: Sequence[Sample], rounds: int, *, response: bool) -> None:
    """Run requests so many times, one after the other."""
    for _ in range(rounds):
        for sample in samples:
            waf.exchange(lambda sample=sample: _exchange(waf, sample.request, response=response))  # type: ignore[misc]


def _exchange(waf: ProfiledWAF, request: ParsedRequest, *, response: bool) -> None:
    tx = waf.transaction()
    tx.process_connection("192.0.2.1", 40000, "198.51.100.1", 443)
    tx.process_uri(request.target, request.method, request.version)
    for name, value in request.headers:
        tx.add_request_header(name, value)
    tx.process_request_headers()
    if request.body:
        tx.write_request_body(request.body)
    if tx.process_request_body() is None and response:
        tx.add_response_header("Content-Type", "text/html")
        tx.process_response_headers(200, "HTTP/1.1")
        tx.write_response_body(PAGE)
        tx.process_response_body()
    tx.process_logging()
    tx.close()

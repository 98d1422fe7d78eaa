"""Which kind of agent a configuration asks for: one process, or several with a supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.config import ConfigError, load_config
from adapters.run_options import RunOptions
from adapters.service import Service
from adapters.workers.cores import usable_cores
from adapters.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path


def make_agent(path: str | Path, options: RunOptions | None = None) -> Service | Supervisor:
    """An agent for a configuration, to be opened and run.

    Args:
        path: the configuration file.
        options: what the command line says beside it.

    Raises:
        ConfigError: the configuration has faults, or the rules have, if they are looked at by now.
    """
    options = options or RunOptions()
    try:
        config = options.apply(load_config(path))
    except ConfigError:
        return Service(path, options)  # which finds the faults of the rules as well
    if (config.workers or usable_cores()) == 1:
        return Service(path, options)
    return Supervisor(path, options)

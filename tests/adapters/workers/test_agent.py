from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters.config import ConfigError
from adapters.run_options import RunOptions
from adapters.service import Service
from adapters.workers import agent
from adapters.workers.agent import make_agent
from adapters.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "bind: 127.0.0.1:0\n{workers}applications:\n  - {{name: a, directives: SecRuleEngine {engine}}}\n"


@pytest.mark.parametrize(
    ("settings", "cores", "wanted"),
    [
        (("workers: 1\n", None), 8, Service),
        (("workers: 3\n", None), 1, Supervisor),
        (("workers: auto\n", None), 1, Service),
        (("workers: auto\n", None), 4, Supervisor),
        (("", None), 1, Service),
        (("workers: 3\n", 1), 8, Service),
        (("workers: 1\n", 0), 2, Supervisor),
    ],
)
def test_how_many_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, int | None], cores: int, wanted: type
):
    monkeypatch.setattr(agent, "usable_cores", lambda: cores)
    monkeypatch.setattr("adapters.workers.supervisor.usable_cores", lambda: cores)
    path = tmp_path / "config.yml"
    path.write_text(CONFIG.format(workers=settings[0], engine="On"))
    made = make_agent(path, RunOptions(workers=settings[1]))

    assert type(made) is wanted
    if isinstance(made, Supervisor):
        made._shared.close()


def test_all_faults_are_told_at_once(tmp_path: Path):
    path = tmp_path / "config.yml"
    path.write_text(CONFIG.format(workers="workers: many\n", engine="Maybe"))
    with pytest.raises(ConfigError) as raised:
        make_agent(path)

    assert len(raised.value.diagnostics) == 2

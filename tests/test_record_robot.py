"""``./substep data record-robot``: several recorded runs of a robot, and what the command ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from substep_bringup import sim
from substep_bringup.exit_codes import ExitCode
from substep_cli.grammar import main

WORDS = ["data", "record-robot", "--robot", "standin", "--suite", "libero_object", "--init-state", "3"]


@pytest.mark.parametrize(
    ("ends", "runs", "code"),
    [
        ((ExitCode.TASK_FAILED, ExitCode.SUCCESS, ExitCode.SUCCESS), 3, 0),
        ((ExitCode.TASK_FAILED,) * 3, 3, 1),
        ((ExitCode.SUCCESS, ExitCode.NODE_DIED), 2, ExitCode.NODE_DIED),
        ((ExitCode.INTERRUPTED,), 1, ExitCode.INTERRUPTED),
    ],
)
def test_each_run_is_recorded_from_a_state_of_its_own_until_one_cannot_be_carried_out(
    tmp_path: Path, monkeypatch, capsys, ends, runs, code
):
    asked = []

    def run(config, domain, network) -> int:
        asked.append(config)
        return ends[len(asked) - 1]

    monkeypatch.setattr(sim, "run", run)
    assert main([*WORDS, "--out", str(tmp_path), "--episodes", "3"]) == code
    assert [config.init_state for config in asked] == list(range(3, 3 + runs))
    assert all(config.record and config.runs == str(tmp_path) and config.robot == "standin" for config in asked)
    if code in (0, 1):
        assert f"{ends.count(ExitCode.SUCCESS)} of 3 episodes succeeded" in capsys.readouterr().out

"""The command that times a LoRA step."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from substep_cli.grammar import main


def test_without_a_gpu_the_toy_size_is_timed_and_said(tmp_path: Path, capsys):
    out = tmp_path / "step.json"
    assert (
        main(
            [
                "bench",
                "training",
                "--model",
                "random-toy",
                "--batch-size",
                "2",
                "--rank",
                "4",
                "--repeats",
                "1",
                "--json",
                str(out),
            ]
        )
        == 0
    )
    report = json.loads(out.read_text())
    assert report["size"] == "random-toy" and report["batch"] == 2 and report["trained_parameters"] > 0
    assert report["samples_per_second"] * report["step_ms"] / 1e3 == pytest.approx(2)
    assert "samples/s" in capsys.readouterr().out


def test_too_little_memory_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    assert main(["bench", "training", "--model", "random-toy", "--repeats", "1"]) == 1
    assert "substep bench training: a model with random weights: the weights take" in capsys.readouterr().err

"""The command that times a policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from substep_policy.benchmarks.policy_latency import count_operations, main
from substep_policy.benchmarks.random_models import PUBLISHED_MODEL, TOY_MODEL


def test_without_a_gpu_the_toy_size_is_timed_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "latency.json"
    assert main(["--repeats", "2", "--device", "cpu", "--json", str(out)]) == 0
    printed = capsys.readouterr()
    assert "no GPU here: timing the toy size" in printed.err
    report = json.loads(out.read_text())
    assert [row["name"] for row in report["rows"]] == ["reference", "eager", "int8"], "what a processor can do"
    assert all(0 < row["chunk"]["median"] <= row["chunk"]["p99"] for row in report["rows"])
    assert report["operations"] == count_operations(TOY_MODEL) > 0
    assert report["floor_ms"] == pytest.approx(1e3 * report["operations"] / report["rate"])


def test_the_published_size_takes_about_nine_teraflop_a_chunk() -> None:
    assert 8.5e12 < count_operations(PUBLISHED_MODEL) < 9.5e12


def test_an_unknown_variant_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "--device", "cpu", "--variants", "eagre"]) == 1
    assert "there is no variant 'eagre', only 'reference'" in capsys.readouterr().err

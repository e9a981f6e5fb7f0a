"""The cost of recording is measured on a graph that runs. How large it is, is not asserted: the machine may be busy."""

from __future__ import annotations

import json

import pytest

from libero_bridge.benchmarks.timing import Speed
from substep_cli.grammar import main
from training.bench.recording import BagFigures, RecordedStretch, figures_of

pytestmark = pytest.mark.xdist_group("simulation")


def test_a_graph_is_timed_with_and_without_a_recorder(tmp_path, capsys):
    file = tmp_path / "figures.json"
    line = "bench record --steps 8 --rounds 1 --images raw --image-size 64 64 --minutes 0.01 --compression lz4"
    assert main([*line.split(), "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert (
        "two 64x64 cameras, 1 rounds of 8 steps, lockstep, assets: embedded, chunks: lz4" in printed
        and "memory over 1 s" in printed
    )
    assert "too few rounds for an interval" in printed
    figures = json.loads(file.read_text())
    assert figures["settings"]["steps"] == 8 and figures["made"]["command"].startswith("./substep bench record")
    raw = figures["kinds"]["raw"]
    images = 2 * 64 * 64 * 3 * 20 * 60 / 2**20  # MiB a minute, of two cameras at 20 Hz
    assert raw["bag"]["messages"] > images > 0 and raw["bag"]["dropped"] == 0 and raw["bag"]["missing"] < 0.5
    assert raw["wall"] > 0 and min(figures["without"], figures["unseen"]) > 0 and len(figures["memory"]["series"]) == 11


def test_each_recording_is_compared_with_the_stretches_beside_it():
    def at(*speeds: float) -> list[RecordedStretch]:
        return [RecordedStretch(Speed(speed, 2 * speed), recorder=1.0) for speed in speeds]

    stretches = {"": at(100, 80, 60, 40, 20), "raw": at(81, 25), "jpeg": at(35, 30)}
    bag = BagFigures(1.0, 2.0, 0.0, 0)
    raw, jpeg = (figures_of(kind, stretches, bag, ("raw", "jpeg")) for kind in ("raw", "jpeg"))
    assert raw.rounds == (0.9, 0.5) and raw.wall == 0.7 and raw.processor == 0.7
    assert jpeg.rounds == (0.5, 1.0) and jpeg.interval is None
    rounds = {"": at(*[100] * 7), "raw": at(90, 80, 95, 85, 70, 75)}
    assert figures_of("raw", rounds, bag, ("raw",)).interval == (0.7, 0.95)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suite", "nowhere"], "nowhere"),
        (["--task", "99"], "99"),
        (["--images", "raw", "raw"], "expected each kind once"),
        (["--minutes", "inf"], "minutes is inf"),
    ],
)
def test_what_cannot_be_timed_is_refused_before_anything_starts(capsys, options, message):
    assert main(["bench", "record", *options]) == 2
    assert message in capsys.readouterr().err

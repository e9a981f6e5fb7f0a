"""Samples of a perturbed benchmark, and success by its categories and difficulty levels. No world is simulated."""

from __future__ import annotations

from collections import Counter

import pytest

from substep_cli.grammar import read
from substep_core.task_sampling import sampled
from substep_core.tasks import Stratum
from training.evaluation.dimensions import dimension_rows
from training.evaluation.settings import Selection

CELLS = {
    "near": {index: Stratum("light" if index % 3 else "noise", index % 2 + 1) for index in range(30)},
    "far": {index: Stratum("noise", None) for index in range(5, 9)},
}


class Cells:
    """A source that has kinds of tasks, and nothing else."""

    suites = default_suites = ("near", "far")

    def playable(self, suite: str) -> dict[int, Stratum]:
        return CELLS[suite]


def test_a_sample_is_even_over_categories_levels_and_suites():
    drawn = sampled(Cells(), ("near", "far"), 12, seed=3)
    kinds = [(suite, CELLS[suite][index]) for suite, index in drawn]
    assert Counter(kind.category for _, kind in kinds) == {"light": 6, "noise": 6}
    assert Counter(kinds) == {
        ("near", Stratum("light", 1)): 3,
        ("near", Stratum("light", 2)): 3,
        ("near", Stratum("noise", 1)): 2,
        ("near", Stratum("noise", 2)): 2,
        ("far", Stratum("noise", None)): 2,
    }
    assert len(set(drawn)) == 12


def test_a_larger_sample_begins_with_the_smaller_one_and_another_seed_draws_another():
    drawn = sampled(Cells(), ("near", "far"), 20, seed=3)
    assert drawn[:7] == sampled(Cells(), ("near", "far"), 7, seed=3)
    assert drawn[:7] != sampled(Cells(), ("near", "far"), 7, seed=4)
    assert sorted(sampled(Cells(), ("near", "far"), 34, seed=0)) == sorted(
        (suite, index) for suite, cells in CELLS.items() for index in cells
    ), "what one category lacks, the others give"
    with pytest.raises(ValueError, match="a sample of 35 tasks was asked for, but only 34 can be played"):
        sampled(Cells(), ("near", "far"), 35, seed=0)


def test_a_selection_is_all_that_can_be_played_or_a_sample_of_it():
    assert Selection(("far",)).places(Cells()) == [("far", index) for index in range(5, 9)]
    assert len(Selection(sample=9).places(Cells())) == 9
    with pytest.raises(ValueError, match="expected --tasks or --sample"):
        Selection(tasks=(1,), sample=9)
    options = read(["eval", "--out", "x", "--sample", "12", "--sample-seed", "7"]).options
    assert (options["selection"].sample, options["selection"].sample_seed) == (12, 7)


def record(category: str, difficulty: int | None, success: bool, variant: str = "", probe: str = "policy") -> dict:
    named = {"probe": probe, "rule": "eos", "placement": "benchmark"}
    return named | {"category": category, "difficulty": difficulty, "variant": variant, "success": success}


RECORDS = [
    *(record("Light", level, level < 3, "embedded") for level in (1, 2, 3, 4)),
    record("Light", None, True, "embedded"),
    record("Noise", 2, False),
    record("Noise", 2, False, probe="no_words"),
]


def test_each_probe_has_a_row_for_each_category_and_one_for_all():
    rows = dimension_rows(RECORDS)
    assert [(row["probe"], row["category"], row["successes"], row["episodes"]) for row in rows] == [
        ("policy", "Light", 3, 5),
        ("policy", "Noise", 0, 1),
        ("policy", "all", 3, 6),
        ("no_words", "Noise", 0, 1),
        ("no_words", "all", 0, 1),
    ]
    light, _, both, *_ = rows
    assert {level: (cell["successes"], cell["episodes"]) for level, cell in light["levels"].items()} == {
        "1": (1, 1),
        "2": (1, 1),
        "3": (0, 1),
        "4": (0, 1),
        "none": (1, 1),
    }
    assert light["variants"] == {"embedded": 5}
    assert both["mean"] == pytest.approx(0.3), "categories weigh the same"
    low, high = light["interval"]
    assert low < 0.6 < high


def test_records_of_tasks_without_a_category_make_no_table():
    plain = [{"probe": "policy", "rule": "eos", "placement": "benchmark", "success": True}]
    assert dimension_rows(plain) == []

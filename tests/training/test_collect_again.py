"""A collection is a function of its settings: of neither the number of workers nor of what came between."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from substep_cli.grammar import main
from tests.processes import ProcessUnderTest, wait_until

TASKS = {"0": "open_the_middle_drawer_of_the_cabinet", "7": "turn_on_the_stove"}  # the shortest ones
OPTIONS = ["--suites", "libero_goal", "--tasks", *TASKS, "--per-task", "1"]
pytestmark = pytest.mark.xdist_group("collect again")  # one worker builds the collection once


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, object]:
    """What one worker collects."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert main(["data", "collect", "--out", str(out), *OPTIONS, "--workers", "1"]) == 0
    return content(out)


def content(folder: Path) -> dict[str, object]:
    """Every array, attribute and text of a data set, by file and place; without what a collection keeps for itself."""
    found: dict[str, object] = {path.name: path.read_text() for path in folder.glob("*.json")}

    def visit(name: str, item) -> None:
        found.update({f"{file.stem}/{name}@{key}": np.asarray(value).tolist() for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[f"{file.stem}/{name}"] = item[:].tolist()

    for file in folder.glob("*/*.hdf5"):
        with h5py.File(file) as opened:
            opened.visititems(visit)
    return found


def assert_same(found: dict[str, object], expected: dict[str, object]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_every_task_has_its_demonstration(undisturbed: dict[str, object]):
    names = [f"{task}_demo/data/demo_0/actions" for task in TASKS.values()]
    assert {"substep_labels.json", "APD_plans.json", "collection.json", *names} <= undisturbed.keys()


def test_two_workers_write_what_one_writes(undisturbed: dict[str, object], tmp_path: Path):
    assert main(["data", "collect", "--out", str(tmp_path), *OPTIONS, "--workers", "2"]) == 0
    assert_same(content(tmp_path), undisturbed)


def test_a_killed_collection_leaves_no_process_and_the_same_command_ends_in_the_same_files(undisturbed, tmp_path: Path):
    out = tmp_path / "data"
    command = [sys.executable, "-m", "substep_cli", "data", "collect", "--out", str(out), *OPTIONS, "--workers", "1"]
    process = ProcessUnderTest(command, tmp_path / "collect.log")
    try:
        wait_until(lambda: any(out.rglob("[0-9]*.npz")), "a demonstration")
        process.send(signal.SIGKILL)
        wait_until(lambda: not process.family(), "the end of the workers")
    finally:
        process.close()
    there = {path: path.stat().st_mtime_ns for path in out.rglob("[0-9]*.npz")}
    assert len(there) == 1 and not (out / "substep_labels.json").exists(), "in the middle"
    assert main(command[3:]) == 0
    assert_same(content(out), undisturbed)
    assert {path: path.stat().st_mtime_ns for path in there} == there, "what was finished is not made again"

"""Tasks from a folder of BDDL files, in the simulated world too."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from libero_bridge.bddl_folder import BddlFolder
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LiberoSource, read_init_states
from substep_core.tasks import task_source

SOUP = LiberoSource().task("libero_object", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two suites of two tasks: LIBERO's soup told otherwise, without states of its own, and unchanged with two."""
    bddl = SOUP.bddl_file.read_text()
    told = bddl.replace("Pick the alphabet soup and place it in the basket", "Put\n the Soup away")
    assert told != bddl
    for suite in ("near", "far"):
        (tmp_path / suite).mkdir()
        (tmp_path / suite / "retold.bddl").write_text(f"; (:language not this)\n{told}")
        (tmp_path / suite / "moved.bddl").write_text(bddl)
        np.save(tmp_path / suite / "moved.npy", SOUP.init_states()[:2])
    return tmp_path


def test_a_folder_names_its_suites_tasks_and_instructions(folder: Path):
    source = task_source(str(folder))
    assert source.suites == source.default_suites == ("far", "near")
    assert source.names("near") == ("moved", "retold")
    assert source.task("near", 1).instruction == "put the soup away"
    assert source.task("near", 0).instruction == "pick the alphabet soup and place it in the basket"
    assert source.task("near", 0).init_states().shape == (2, SOUP.init_states().shape[1])
    assert (len(source.splits["evaluation"].init_states), len(source.splits["training"].init_states)) == (2, 0)
    with pytest.raises(ValueError, match="unknown suite 'there': expected one of far, near"):
        source.names("there")
    with pytest.raises(ValueError, match="task 2 is not in suite 'far': expected 0 to 1"):
        source.task("far", 2)


def test_without_files_of_states_there_are_as_many_as_libero_has(folder: Path):
    for file in folder.glob("*/*.npy"):
        file.unlink()
    splits = BddlFolder(folder).splits
    assert (splits["evaluation"].init_states, splits["training"].init_states) == (range(0, 20), range(20, 50))


@pytest.mark.parametrize(
    ("tasks_from", "message"),
    [
        (
            "nowhere",
            r"unknown task source 'nowhere': expected one of bddl \(libero_bridge .*\), libero",
        ),
        ("bddl", "task source 'bddl' needs a folder"),
        ("libero:/tmp", "task source 'libero' takes no folder"),
        ("bddl:/nowhere", "/nowhere holds no tasks: expected SUITE/NAME.bddl"),
    ],
)
def test_a_source_that_cannot_be_had_is_named(tasks_from, message):
    with pytest.raises(ValueError, match=message):
        task_source(tasks_from)


class Planted:
    """What an archive from anywhere might hold."""

    def __reduce__(self):
        return Path.touch, (Path("/tmp/planted"),)


def test_damaged_files_are_named_and_nothing_in_them_is_run(folder: Path):
    planted = folder / "near" / "retold.pruned_init"
    with zipfile.ZipFile(planted, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Planted()))
    with pytest.raises(ValueError, match="retold.pruned_init holds no initial states: it is not a plain numpy array"):
        read_init_states(planted)
    for bomb in (b"(" * 100_000 + b".", b"\x80\x04N}b.", b"c", b"."):  # marks, attributes of None, cut off, nothing
        with zipfile.ZipFile(planted, "w") as archive:
            archive.writestr("archive/data.pkl", bomb)
        with pytest.raises(ValueError, match="retold.pruned_init holds no initial states"):
            read_init_states(planted)
    with zipfile.ZipFile(planted, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**28 + 1))
    with pytest.raises(ValueError, match="it says 268435457 bytes, expected at most 268435456"):
        read_init_states(planted)
    (folder / "near" / "moved.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match="moved.npy holds no initial states"):
        BddlFolder(folder).task("near", 0).init_states()
    (folder / "near" / "moved.pruned_init").write_bytes(b"")
    with pytest.raises(ValueError, match=r"two files of initial states, moved.pruned_init and moved.npy"):
        BddlFolder(folder).task("near", 0)
    (folder / "far" / "moved.bddl").write_text("(define (problem x))")
    with pytest.raises(ValueError, match=r"moved.bddl has no instruction: expected \(:language …\)"):
        BddlFolder(folder).task("far", 0)
    (folder / "far" / "moved.bddl").write_text("(define (problem x) (:language Go) (:goal (On a b)))) ; )")
    with pytest.raises(ValueError, match=r"moved.bddl opens 5 parentheses and closes 6: expected as many"):
        BddlFolder(folder).task("far", 0)


def test_names_and_instructions_need_no_simulator(folder: Path):
    code = (
        "import sys; from substep_core.tasks import task_source\n"
        "for tasks_from, suite in (('libero', 'libero_90'), (sys.argv[1], 'near')):\n"
        "    source = task_source(tasks_from)\n"
        "    assert source.task(suite, 1).instruction and source.names(suite) and source.splits\n"
        "sys.exit(bool({'mujoco', 'robosuite', 'torch', 'libero'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)], check=False).returncode == 0


class Dimmed:
    """A world whose agentview stands elsewhere and gives noisy pictures."""

    def prepare(self, env) -> None:
        env.sim.model._model.cam("agentview").pos[2] += 0.2

    def image(self, camera, image, generator):
        return image // 2 + generator.integers(0, 9, image.shape, np.uint8) if camera == "agentview" else image


def test_a_folder_is_simulated_as_its_files_say(folder: Path):
    config = SimulationConfig("near", 1, image_size=(32, 32), tasks_from=str(folder))
    world = Simulation(config)
    assert (world.instruction, world.init_state_count) == ("put the soup away", 50)
    drawn = [world.reset(state, seed) and world.state() for state, seed in ((3, 0), (3, 9), (4, 0))]
    assert np.array_equal(drawn[0], drawn[1]), "an initial state does not depend on the episode's seed"
    assert not np.array_equal(drawn[0], drawn[2])
    world.close()
    world = Simulation(replace(config, task_index=0))
    plain = Simulation(SimulationConfig("libero_object", 0, image_size=(32, 32)))
    seen, expected = world.reset(1, 5), plain.reset(1, 5)
    assert np.array_equal(world.state(), plain.state())
    assert all(np.array_equal(seen.images[camera], expected.images[camera]) for camera in seen.images)
    with pytest.raises(ValueError, match="init_state 2 does not exist: expected 0 to 1"):
        world.reset(2)
    world.close()
    plain.close()


def test_a_task_may_change_cameras_and_pictures(folder: Path, monkeypatch):
    task, plain = LiberoSource.task, Simulation(SimulationConfig("libero_object", 0, image_size=(32, 32)))
    expected = plain.reset(0, 5)
    plain.close()
    monkeypatch.setattr(LiberoSource, "task", lambda *where: replace(task(*where), change=Dimmed()))
    world = Simulation(SimulationConfig("libero_object", 0, image_size=(32, 32)))
    seen, again = world.reset(0, 5), world.reset(0, 5)
    assert np.array_equal(seen.images["eye_in_hand"], expected.images["eye_in_hand"])
    assert seen.images["agentview"].mean() < 0.7 * expected.images["agentview"].mean()
    assert np.array_equal(seen.images["agentview"], again.images["agentview"]), "noise is of the episode's seed"
    world.close()


def test_a_thing_that_libero_does_not_have_is_named(folder: Path):
    file = folder / "near" / "retold.bddl"
    file.write_text(file.read_text().replace("- alphabet_soup", "- alphabet_soop"))
    with pytest.raises(ValueError, match=r"retold.bddl names 'alphabet_soop', which LIBERO does not know"):
        Simulation(SimulationConfig("near", 1, tasks_from=str(folder), image_size=(32, 32), render=False))
    file.write_text(file.read_text().replace("(problem LIBERO_", "(problem NO_"))
    with pytest.raises(ValueError, match=r"retold.bddl has problem 'no_\w+': expected one of .*libero_kitchen"):
        Simulation(SimulationConfig("near", 1, tasks_from=str(folder), image_size=(32, 32), render=False))


def test_states_of_another_scene_are_refused(folder: Path):
    np.save(folder / "near" / "moved.npy", LiberoSource().task("libero_goal", 0).init_states()[:1])
    with pytest.raises(ValueError, match=r"moved.npy has \d+ values in a state, but the world of .*moved.bddl has \d+"):
        Simulation(SimulationConfig("near", 0, tasks_from=str(folder)))

"""A package of somebody else's, installed: robot, world, tasks, policy, backbone, decoder, decomposer, data."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from lifecycle_msgs.msg import Transition
from setuptools import build_meta

from substep_bringup.graph_config import GraphConfig
from substep_cli.grammar import main
from substep_core.contract import load_robot
from substep_core.observation import Observation
from substep_core.plan import Substep
from substep_policy.registry import POLICIES, PolicySettings
from tests.probe import Goal
from tests.running_graph import RunningGraph
from training.labels.file import SubstepLabels, labels_from_boundaries
from training.train.config import read_config
from training.train.finetune_substep import finetune

PACKAGE = Path(__file__).with_name("two_arms")
TASK = {"world": "two_arms", "tasks_from": "two_arms", "suite": "two_arms", "task": 0}
pytestmark = pytest.mark.xdist_group("two_arms")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with the package in it, as an installer unpacks its wheel."""
    source, folder = tmp_path_factory.mktemp("source") / "two_arms", tmp_path_factory.mktemp("site")
    for file in PACKAGE.rglob("*"):
        if file.suffix in (".py", ".toml", ".yaml"):
            target = source / file.relative_to(PACKAGE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(source)
        patch.setattr(sys, "argv", sys.argv[:1])
        wheel = build_meta.build_wheel(str(folder))
    zipfile.ZipFile(folder / wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def installed(site):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ['PYTHONPATH']}")
        yield site


def test_its_world_is_short(installed):
    assert len((PACKAGE / "two_arms/world.py").read_text().splitlines()) <= 150


def test_the_graph_does_its_task_with_its_policy_and_its_plan(installed, tmp_path: Path):
    config = GraphConfig(**TASK, policy="reach")
    parameters = {"planner": {"decomposers": ["by_arm"]}}
    with contextlib.closing(RunningGraph(tmp_path, config, parameters=parameters)) as graph:
        graph.bring_up()
        result = Goal(graph.probe, "").result(timeout=60.0)
        assert result.success and result.plan_source == "by_arm", result.message
        before = graph.probe.statuses[-1].step
        second = Goal(graph.probe, "move both arms down").result(timeout=60.0)
        assert second.success and "all substeps are done" in second.message, second.message
        assert graph.probe.statuses[-1].step > before, "another instruction needs no reset"
        assert graph.probe.reset(task_index=1).instruction == "move both arms down"
        assert Goal(graph.probe, "").result(timeout=60.0).success


def test_a_stack_of_it_is_brought_up_and_ends_with_a_signal(installed):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in {**TASK, "policy": "reach"}.items()]
    stack = subprocess.Popen(
        [sys.executable, "-m", "substep_cli", "stack", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with stack:
        waiting = {"bridge is active", "policy is active", "planner is active"}
        seen = []
        while waiting and (line := stack.stdout.readline()):
            seen.append(line)
            waiting = {words for words in waiting if words not in line}
        stack.send_signal(signal.SIGINT)
        rest, _ = stack.communicate(timeout=60)
    assert not waiting and stack.returncode == 130, "".join(seen) + rest
    assert seen[0].startswith("ROS_DOMAIN_ID=")


def test_its_policy_is_evaluated_through_the_graph_alone(installed, tmp_path: Path, capsys):
    tasks = ["--tasks-from", "two_arms", "--tasks", "1", "--policy", "reach", "--decomposers", "by_arm"]
    command = ["eval", *tasks, "--probes", "policy", "--placements", "benchmark", "--episodes", "1"]
    refused = [*command, "--out", str(tmp_path / "refused")]
    assert main(refused) == 2 and "tasks of 'two_arms' are for another world" in capsys.readouterr().err
    assert main([*refused, "--world", "two_arms"]) == 2 and "add --through graph" in capsys.readouterr().err
    out = tmp_path / "results"
    assert main([*command, "--world", "two_arms", "--through", "graph", "--workers", "1", "--out", str(out)]) == 0
    (record,) = map(json.loads, (out / "episodes.jsonl").read_text().splitlines())
    assert record["success"] and record["plan_source"] == "by_arm" and len(record["substeps"]) == 2


def test_a_policy_for_another_robot_is_refused_at_activation(installed, tmp_path: Path):
    config = GraphConfig(**TASK, policy="compact")
    with contextlib.closing(RunningGraph(tmp_path, config, without=("planner",))) as graph:
        probe = graph.probe
        for node in ("bridge", "policy"):
            assert probe.transition(node, Transition.TRANSITION_CONFIGURE, timeout=180.0)
        assert probe.transition("bridge", Transition.TRANSITION_ACTIVATE)
        assert not probe.transition("policy", Transition.TRANSITION_ACTIVATE)
        assert "does not fit: the policy needs camera 'agentview', and robot two_arms has overhead" in graph.log(
            "policy"
        )


@pytest.fixture
def demonstrations(installed, tmp_path: Path) -> Path:
    """Six short ones of both arms going up, and their labels."""
    folder, labels = tmp_path / "demos", SubstepLabels()
    folder.mkdir()
    steps = [Substep(f"move the {arm} arm up", f"the {arm} arm is up") for arm in ("left", "right")]
    for number in range(6):
        way = np.linspace(0, 0.8, 30)[:, None] * np.ones(14) + 0.01 * number
        frames = np.random.default_rng(number).integers(0, 255, (30, 32, 32, 3), np.uint8)
        name = f"episode_{number}"
        np.savez(folder / f"{name}.npz", actions=way.astype(np.float32), joints=way.astype(np.float32), overhead=frames)
        ends = labels_from_boundaries("move both arms up", steps, [14, 29], np.zeros(30, int))
        labels.add("two_arms", "move_both_arms_up", name, ends)
    labels.save(folder / "substep_labels.json")
    return folder


def training(folder: Path, out: Path, steps: int) -> Path:
    """A training of so many steps, as a YAML file says it; -> its newest checkpoint."""
    content = {
        "out": str(out),
        "data": {
            "robot": "two_arms",
            "sources": [{"type": "joint_files", "path": str(folder)}],
            "labels": str(folder / "substep_labels.json"),
            "cache": str(out.parent / "cache"),
            "held_out_every": 3,
            "workers": 0,
        },
        "model": {"model_type": "glance", "action_head": {"type": "line"}, "eos_head": {"hidden_dim": 16}},
        "optimizer": {"batch_size": 4, "warmup_steps": 1},
        "steps": steps,
        "log_every": 1,
        "save_every": 1,
        "distribution_batches": 1,
        "keyframe_weight": 0.0,
    }
    path = out.parent / "two_arms.yaml"
    path.write_text(yaml.safe_dump(content))
    finetune(read_config(path, []))
    return max((out / "checkpoints").iterdir())


def test_its_own_backbone_is_trained_resumed_exported_and_acts(demonstrations: Path, tmp_path: Path, capsys):
    out = tmp_path / "run"
    first = training(demonstrations, out, 1)
    second = training(demonstrations, out, 2)
    assert (first.name, second.name) == ("step_0000001", "step_0000002")
    assert f"resuming from {first}" in (out / "train.log").read_text()
    assert main(["checkpoint", "inspect", str(second)]) == 0
    assert "glance, chunks of 25 actions, cameras overhead" in capsys.readouterr().out
    assert main(["checkpoint", "latency", str(second), "--repeats", "1", "--device", "cpu"]) == 0
    assert main(["checkpoint", "export", str(second), "--out", str(tmp_path / "shipped")]) == 0
    trained, shipped = (chunk_of(folder) for folder in (second, tmp_path / "shipped"))
    assert trained.shape[1] == 14 and (np.abs(trained) <= 2.9).all()
    np.testing.assert_allclose(shipped, trained, atol=2e-2, err_msg="it ships in half precision")


def chunk_of(checkpoint: Path) -> np.ndarray:
    """Its actions for the left arm, with the EOS threshold out of reach."""
    policy = POLICIES.load(str(checkpoint), PolicySettings(device="cpu", eos_threshold=1.0))
    assert policy.robot == load_robot("two_arms") and policy.cameras == ("overhead",) and policy.horizon == 25
    policy.start_substep("move the left arm up", "move both arms up")
    return policy.predict(Observation({"overhead": np.zeros((32, 48, 3), np.uint8)}, np.zeros(14, np.float32))).actions

"""OpenVLA-OFT at toy size in the running graph, from a checkpoint in the published layout."""

from __future__ import annotations

import json
import shutil

import pytest
from lifecycle_msgs.msg import Transition

from substep_bringup.graph_config import GraphConfig
from tests.openvla.toy_checkpoint import write_toy_checkpoint
from tests.probe import Goal
from tests.running_graph import SMALL

pytestmark = pytest.mark.xdist_group("openvla")
DATASET = "libero_object_no_noops"
IMPORTS = 240.0  # s, the first configure imports PyTorch and transformers, which a loaded machine takes minutes for


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """With the statistics of two data sets."""
    folder = write_toy_checkpoint(tmp_path_factory.mktemp("openvla") / "toy", DATASET, eos_probability=0.9)
    path = folder / "dataset_statistics.json"
    (entry,) = json.loads(path.read_text()).values()
    path.write_text(json.dumps({DATASET: entry, "bridge_orig": entry}))
    return folder


@pytest.fixture(scope="module")
def graph(start_graph, checkpoint):
    config = GraphConfig(suite="libero_object", task=0, image_size=SMALL, policy=str(checkpoint))
    return start_graph(config, parameters={"policy": {"device": "cpu"}})


def refusal(graph) -> str:
    """What the policy's node logs when it refuses to be configured."""
    graph.probe.wait(lambda: graph.probe.hears("policy"), "node policy")
    before = len(graph.log("policy"))
    assert not graph.probe.transition("policy", Transition.TRANSITION_CONFIGURE, IMPORTS)
    assert graph.probe.state("policy") == "unconfigured"
    return graph.log("policy")[before:]


def test_what_cannot_be_loaded_is_refused_and_nothing_takes_its_place(graph, checkpoint, tmp_path):
    probe = graph.probe
    assert probe.set_parameter("policy", "dataset", "nowhere").successful
    assert "'nowhere'" in (text := refusal(graph)) and f"'{DATASET}'" in text
    assert probe.set_parameter("policy", "dataset", "").successful  # the suite chooses

    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    (broken / "proprio_projector--7_checkpoint.pt").unlink()
    assert probe.set_parameter("policy", "policy", str(broken)).successful
    assert f"{broken} has no proprio_projector--latest_checkpoint.pt" in refusal(graph)
    assert probe.set_parameter("policy", "policy", str(checkpoint)).successful
    assert probe.set_parameter("policy", "device", "cuda:99").successful
    assert "device is 'cuda:99', but" in refusal(graph)


def test_it_drives_the_arm_substep_by_substep(graph, checkpoint):
    """Its EOS head ends every substep with the first action, so the plan is through after as many chunks."""
    probe = graph.probe
    for name, value in (("dataset", ""), ("policy", str(checkpoint)), ("device", "cpu")):
        assert probe.set_parameter("policy", name, value).successful
    graph.bring_up()
    goal = Goal(probe, "")
    assert goal.accepted
    probe.wait(lambda: len(probe.chunks) >= 2, "two chunks")
    first, second = probe.chunks[:2]
    assert first.model == f"openvla:{checkpoint.name}"
    assert (first.horizon, first.eos_index, second.eos_index) == (1, 0, 0)
    assert [round(value, 3) for value in first.eos_probabilities] == [0.9, 0.9, 0.9]
    assert (first.substep_index, second.substep_index) == (0, 1)
    assert max(abs(value) for value in first.actions[:6]) < 0.1  # of the data set's range
    goal.cancel()
    goal.result()


def test_diagnostics_tell_device_type_memory_and_latency(graph):
    probe = graph.probe
    newest = {}

    def told() -> bool:
        for key in ("model", "device", "dtype", "memory_mib", "latency_median_ms", "latency_p99_ms", "chunks"):
            newest[key] = probe.diagnostic_values("policy: inference", key)[-1:]
        return bool(newest["chunks"]) and int(newest["chunks"][0]) >= 2

    probe.wait(told, "diagnostics after two chunks")
    assert (newest["device"], newest["dtype"]) == (["cpu"], ["float32"])
    assert float(newest["memory_mib"][0]) > 50
    assert 0.0 < float(newest["latency_median_ms"][0]) <= float(newest["latency_p99_ms"][0])

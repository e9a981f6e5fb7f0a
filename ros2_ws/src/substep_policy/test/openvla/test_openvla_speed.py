"""Eight-bit weights, and other ways of carrying out the network: the same policy, within what they promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from substep_core.chunk import Chunk
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.benchmarks.random_models import (
    INSTRUCTION,
    random_observation,
    random_openvla,
    toy_model,
    write_random_compact,
    write_random_openvla,
)
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.models.execution import executor, pad_text
from substep_policy.models.quantization import quantize
from substep_policy.registry import POLICIES, PolicySettings
from substep_policy.run_modes import Execution, Quantization

ROBOT = load_robot(LIBERO_PANDA)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_random_openvla(folder, toy_model(ROBOT))
    return folder


def predict(folder: Path, **settings: object) -> Chunk:
    policy = POLICIES.load(str(folder), PolicySettings(device="cpu", eos_threshold=1.0, **settings))
    policy.start_substep(INSTRUCTION, "")
    return policy.predict(random_observation(policy.robot, policy.cameras, 40))


@pytest.mark.parametrize("quantization", [Quantization.INT8, Quantization.INT8_DYNAMIC])
def test_an_eight_bit_policy_acts_alike(checkpoint: Path, quantization: Quantization) -> None:
    exact, quantized = predict(checkpoint), predict(checkpoint, quantization=quantization)
    assert not np.array_equal(exact.actions, quantized.actions)
    np.testing.assert_allclose(quantized.actions[:, :6], exact.actions[:, :6], atol=0.05)


def test_eight_bit_weights_take_a_quarter_of_the_memory_of_single_precision() -> None:
    model = random_openvla(toy_model(ROBOT), CPU, torch.float32)
    layer = model.backbone.language_model.model.layers[0].mlp.up_proj
    head = model.action_head.model.fc1.weight.clone()
    before = layer.weight.numel() * 4
    quantize(model, Quantization.INT8, CPU)
    assert layer.weight.qdata.dtype == torch.int8 and layer.weight.qdata.nbytes == before // 4
    assert torch.equal(model.action_head.model.fc1.weight, head), "heads stay as they are"
    assert type(model.backbone.language_model.lm_head.weight) is torch.nn.Parameter


def test_the_whole_network_is_one_graph_and_padding_changes_nothing(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A break in the graph, or a wait for a value from the device, fails to compile here and to be captured there."""
    exact = predict(checkpoint)
    compiled_calls = []

    def whole_graph(function, mode=None, dynamic=None):
        compiled_calls.append(function)
        return compile_for_real(function, backend="eager", fullgraph=True, dynamic=dynamic)

    compile_for_real = torch.compile
    monkeypatch.setattr(torch, "compile", whole_graph)
    compiled = predict(checkpoint, execution=Execution.COMPILED)
    assert len(compiled_calls) == 2  # act and act_guided; each is compiled when it is called first
    np.testing.assert_allclose(compiled.actions, exact.actions, atol=1e-5)
    np.testing.assert_allclose(compiled.eos_probabilities, exact.eos_probabilities, atol=1e-5)


def test_text_is_padded_to_few_lengths() -> None:
    inputs = {"input_ids": torch.ones(2, 33, dtype=torch.long), "attention_mask": torch.ones(2, 33, dtype=torch.bool)}
    padded = pad_text({**inputs, "slot_start": torch.tensor([5, 6])}, 32, pad_token=4)
    assert padded["input_ids"].shape == (2, 64) and (padded["input_ids"][:, 33:] == 4).all()
    assert padded["attention_mask"].sum(1).tolist() == [33, 33]
    assert padded["slot_start"].tolist() == [5, 6]
    assert pad_text(padded, 32, 4)["input_ids"].shape == (2, 64)


def test_what_a_device_or_a_model_cannot_do_is_said(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fp8_dynamic.*needs a GPU with 8-bit floats"):
        predict(checkpoint, quantization=Quantization.FP8_DYNAMIC)
    with pytest.raises(ValueError, match="cuda_graph.*needs a GPU"):
        executor(lambda inputs: None, Execution.CUDA_GRAPH, CPU, pad_token=0)
    write_random_compact(tmp_path, CompactModelConfig(robot=toy_model(ROBOT).robot))
    with pytest.raises(ValueError, match="quantization is 'int8'.*the compact model needs neither"):
        POLICIES.load(str(tmp_path), PolicySettings(device="cpu", quantization=Quantization.INT8))

"""Checkpoint folders: what is found, what is refused, and the policy that comes out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from substep_cli.grammar import main
from substep_core.chunk import NO_EOS
from substep_core.configuration import dump, parse
from substep_core.contract import LIBERO_PANDA, load_robot, misfit
from substep_core.observation import Observation
from substep_policy.checkpoints.folder import CheckpointError, find_component, load_state
from substep_policy.checkpoints.plain import export_model, save_model
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from substep_policy.models.compact.model import CompactModelConfig, build_compact
from substep_policy.models.kind import UnknownModel, kind_of
from substep_policy.registry import POLICIES, WEIGHTS, PolicySettings


def observation(seed: int = 0) -> Observation:
    random = np.random.default_rng(seed)
    images = {name: random.integers(0, 255, (48, 48, 3), np.uint8) for name in ("agentview", "eye_in_hand")}
    return Observation(images, random.normal(size=8).astype(np.float32))


def edit_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_layers": 1_000_000}, "backbone.text_layers is 1000000"),
        ({"decoder_layers": 0}, "backbone.decoder_layers is 0"),
        ({"heads": 0}, "backbone.heads is 0"),
        ({"width": -16}, "backbone.width is -16"),
        ({"vocabulary_size": 2**40}, "backbone.vocabulary_size is 1099511627776"),
        ({"vision_widths": [8, 8, 0]}, "backbone.vision_widths.2 is 0"),
        ({"width": 65536, "text_layers": 500}, r"model.safetensors has \d+ bytes, and .* \d{14} parameters"),
    ],
)
def test_a_network_that_no_machine_holds_is_refused_before_it_is_made(
    toy_checkpoint: Path, changes: dict, message: str
):
    backbone = json.loads((toy_checkpoint / "config.json").read_text())["backbone"]
    edit_config(toy_checkpoint, backbone=backbone | changes)
    with pytest.raises(CheckpointError, match=message):
        CHECKPOINTS.load(toy_checkpoint)


def test_a_head_that_its_file_cannot_hold_is_refused_before_it_is_made(toy_checkpoint: Path):
    head = json.loads((toy_checkpoint / "config.json").read_text())["action_head"]
    edit_config(toy_checkpoint, action_head=head | {"hidden_dim": 131_072, "blocks": 1000})
    with pytest.raises(CheckpointError, match=r"has \d+ bytes, and .* gives its action_head \d{14} parameters"):
        CHECKPOINTS.load(toy_checkpoint)


@pytest.mark.parametrize(
    "content", ["[]", "null", "3", "[" * 100_000, '{"model_type": []}', '{"model_type": {}}', "\xff"]
)
def test_a_config_that_describes_nothing_is_refused(toy_checkpoint: Path, content: str):
    (toy_checkpoint / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(UnknownModel, match="config.json"):
        kind_of(toy_checkpoint)


def test_a_threshold_that_nobody_chose_is_said_when_the_policy_is_loaded(toy_checkpoint: Path, caplog):
    POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu", eos_threshold=0.4))
    assert "EOS threshold" not in caplog.text
    POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu"))
    assert f"{toy_checkpoint}: the EOS threshold 0.03 is a default, nobody chose it" in caplog.text
    caplog.clear()
    eos = json.loads((toy_checkpoint / "config.json").read_text())["eos"]
    edit_config(toy_checkpoint, eos=eos | {"calibrated": True})
    POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu"))
    assert "EOS threshold" not in caplog.text


def test_a_policy_goes_over_to_the_statistics_of_another_data_set(toy_checkpoint: Path):
    """As loading it with those does."""
    path = toy_checkpoint / "dataset_statistics.json"
    (toy,) = json.loads(path.read_text()).values()
    wider = {part: {**toy[part], "q01": [-3.0] * len(toy[part]["q01"])} for part in ("action", "proprio")}
    path.write_text(json.dumps({"toy": toy, "wider": wider}))
    seen, chunks = observation(), []
    for begun, then in (("toy", "toy"), ("wider", "wider"), ("toy", "wider")):
        policy = POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu", dataset=begun))
        policy.use_dataset(then)
        policy.start_substep("pick up the black bowl", "")
        chunks.append(policy.predict(seen).actions)
    assert len(chunks[1]) == len(chunks[2]) and (chunks[1] == chunks[2]).all()
    assert chunks[0].shape != chunks[1].shape or (chunks[0] != chunks[1]).any()
    with pytest.raises(ValueError, match="statistics of several data sets, and none is of the suite that is run"):
        policy.use_dataset(None)


def test_latest_is_preferred_to_the_highest_step(tmp_path: Path):
    for step in ("5", "100", "20"):
        (tmp_path / f"eos_head--{step}_checkpoint.pt").touch()
    assert find_component(tmp_path, "eos_head").name == "eos_head--100_checkpoint.pt"
    (tmp_path / "eos_head--latest_checkpoint.pt").touch()
    assert find_component(tmp_path, "eos_head").name == "eos_head--latest_checkpoint.pt"


def test_heads_of_different_steps_are_not_mixed(toy_checkpoint: Path):
    (toy_checkpoint / "eos_head--5_checkpoint.pt").rename(toy_checkpoint / "eos_head--4_checkpoint.pt")
    files = "action_head--5_checkpoint.pt, eos_head--4_checkpoint.pt, proprio_projector--5_checkpoint.pt"
    with pytest.raises(CheckpointError, match=f"different steps: {files}"):
        CHECKPOINTS.load(toy_checkpoint)
    (toy_checkpoint / "eos_head--4_checkpoint.pt").rename(toy_checkpoint / "eos_head--latest_checkpoint.pt")
    CHECKPOINTS.load(toy_checkpoint)


@pytest.mark.parametrize("wrap", ["module.{}", "_orig_mod.{}", "_fsdp_wrapped_module.{}", "module._orig_mod.{}"])
def test_what_training_wraps_weights_in_does_not_count(toy_checkpoint: Path, wrap: str):
    path = toy_checkpoint / "eos_head--5_checkpoint.pt"
    state, before = torch.load(path), CHECKPOINTS.load(toy_checkpoint)[1].eos_head.state_dict()
    torch.save({"state_dict": {wrap.format(key): value for key, value in state.items()}, "epoch": 3}, path)
    after = CHECKPOINTS.load(toy_checkpoint)[1].eos_head.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [([1, 2], "holds a list"), ({"weights": {}, "step": 3}, "holds more than tensors: weights, step")],
)
def test_a_file_without_named_tensors_is_no_head(toy_checkpoint: Path, content, message):
    torch.save(content, toy_checkpoint / "eos_head--5_checkpoint.pt")
    with pytest.raises(CheckpointError, match=message):
        CHECKPOINTS.load(toy_checkpoint)


def test_a_misfit_shows_what_is_missing_and_what_is_there_instead(toy_checkpoint: Path):
    path = toy_checkpoint / "model.safetensors"
    save_file({f"net.{key}": value for key, value in load_file(path).items()}, path)
    with pytest.raises(CheckpointError) as error:
        CHECKPOINTS.load(toy_checkpoint)
    assert str(error.value).count(" is missing;") == 4 and "net." in str(error.value) and " more" in str(error.value)


def test_a_missing_head_is_named(toy_checkpoint: Path):
    (toy_checkpoint / "eos_head--5_checkpoint.pt").unlink()
    with pytest.raises(CheckpointError, match="no eos_head--latest_checkpoint.pt"):
        CHECKPOINTS.load(toy_checkpoint)


def test_weights_survive_and_the_model_is_in_eval_mode(toy_checkpoint: Path):
    _, first = CHECKPOINTS.load(toy_checkpoint)
    _, second = CHECKPOINTS.load(toy_checkpoint)
    assert not any(module.training for module in first.modules())
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_prefixes_of_data_parallel_training_are_removed(toy_checkpoint: Path):
    path = toy_checkpoint / "eos_head--5_checkpoint.pt"
    state = torch.load(path, weights_only=True)
    torch.save({f"module.{key}": value for key, value in state.items()}, path)
    _, model = CHECKPOINTS.load(toy_checkpoint)
    assert torch.equal(model.eos_head.state_dict()["model.1.weight"], state["model.1.weight"])


def test_misfit_keys_and_shapes_are_named(toy_checkpoint: Path):
    _, model = CHECKPOINTS.load(toy_checkpoint)
    path = toy_checkpoint / "eos_head--5_checkpoint.pt"
    state = torch.load(path, weights_only=True)
    del state["model.0.bias"]
    state |= {"model.1.weight": torch.zeros(2, 2), "stray": torch.zeros(1)}
    torch.save(state, path)
    expected = "model.0.bias is missing; stray is unknown; model.1.weight has shape \\(2, 2\\)"
    with pytest.raises(CheckpointError, match=expected):
        load_state(model.eos_head, path)


@pytest.mark.parametrize("name", ["model.safetensors", "action_head--5_checkpoint.pt"])
def test_a_cut_off_file_is_named(toy_checkpoint: Path, name: str):
    path = toy_checkpoint / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=name):
        CHECKPOINTS.load(toy_checkpoint)


def test_token_eos_with_the_l1_head_is_refused(toy_checkpoint: Path):
    edit_config(toy_checkpoint, eos={"source": "token"})
    with pytest.raises(CheckpointError, match="action head 'l1' offers only head, none: EOS as a token needs"):
        CHECKPOINTS.read_config(toy_checkpoint)


def test_a_checkpoint_that_does_not_say_its_robot_is_refused_with_what_to_add(toy_checkpoint: Path):
    path = toy_checkpoint / "config.json"
    content = json.loads(path.read_text())
    del content["robot"]
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match='add the key robot, .* such as "robot": "libero_panda"'):
        CHECKPOINTS.read_config(toy_checkpoint)
    edit_config(toy_checkpoint, robot=LIBERO_PANDA)
    assert CHECKPOINTS.read_config(toy_checkpoint).robot == load_robot(LIBERO_PANDA)


def test_statistics_of_another_robot_are_refused_and_its_groups_named(toy_config, toy_checkpoint: Path):
    without_fingers = replace(toy_config.robot, state=toy_config.robot.state[:2])
    edit_config(toy_checkpoint, robot=dump(without_fingers))
    config = CHECKPOINTS.read_config(toy_checkpoint)
    save_model(toy_checkpoint, config, build_compact(config), step=5)
    expected = "describes 11 proprio values, expected 9 for robot libero_panda .eef_position 3, eef_rotation 6."
    with pytest.raises(ValueError, match=expected):
        POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu"))
    assert main(["checkpoint", "inspect", str(toy_checkpoint)]) == 1


def test_a_wrong_configuration_names_file_key_and_value(toy_checkpoint: Path):
    edit_config(toy_checkpoint, chunk_length=0, preprocessing={"image_size": "big"})
    with pytest.raises(CheckpointError, match="config.json: chunk_length is 0: .*; preprocessing.image_size is 'big'"):
        CHECKPOINTS.read_config(toy_checkpoint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk_length": 10**12}, "config.json: chunk_length is 1000000000000"),
        ({"action_head": {"type": "diffusion", "train_steps": 10**12}}, "action_head.train_steps is 1000000000000"),
        ({"action_head": {"type": "diffusion", "sampling_steps": 0}}, "action_head.sampling_steps is 0"),
        ({"backbone": {"dropout": -1}}, "backbone.dropout is -1"),
        (
            {"backbone": {"vision_widths": [1, 64, 128]}},
            "config.json describes a model that cannot be made",
        ),
    ],
)
def test_a_network_that_nobody_could_make_is_refused(toy_checkpoint: Path, changes: dict, message: str, capsys):
    edit_config(toy_checkpoint, **changes)
    with pytest.raises(CheckpointError, match=message):
        CHECKPOINTS.load(toy_checkpoint)
    assert main(["checkpoint", "inspect", str(toy_checkpoint)]) == 1
    assert message in " ".join(capsys.readouterr().out.split())


def test_exported_weights_are_half_the_size_and_give_the_same_policy(toy_checkpoint: Path, tmp_path: Path):
    config, model = CHECKPOINTS.load(toy_checkpoint)
    shipped = tmp_path / "shipped"
    export_model(shipped, config, model)
    assert not list(shipped.glob("*.pt")), "pickles are not shipped"
    for name in ("dataset_statistics.json", "tokenizer.json"):
        shutil.copy(toy_checkpoint / name, shipped)
    size = (shipped / "model.safetensors").stat().st_size / (toy_checkpoint / "model.safetensors").stat().st_size
    assert size < 0.75
    assert len({path.stat().st_mode for path in shipped.iterdir() if path.is_file()}) == 1, "some are read by fewer"
    chunks = []
    for folder in (toy_checkpoint, shipped):
        policy = POLICIES.load(str(folder), PolicySettings(device="cpu"))
        policy.start_substep("pick up the black bowl", "")
        chunks.append(policy.predict(observation()))
    np.testing.assert_allclose(chunks[0].actions[:, :6], chunks[1].actions[:, :6], atol=2e-2)


def test_policy_answers_with_a_chunk_in_range(toy_checkpoint: Path):
    policy = POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu", eos_threshold=1.0))
    policy.start_substep("pick up the black bowl", "a task")
    chunk = policy.predict(observation())
    assert chunk.actions.shape == (8, 7) and chunk.eos_index == NO_EOS
    assert np.abs(chunk.actions).max() <= 1.0 and set(np.abs(chunk.actions[:, 6])) == {1.0}
    assert chunk.eos_probabilities.shape == (8,)
    assert policy.name == "compact:checkpoint" and not policy.requires_scene
    assert (policy.robot.name, policy.cameras, policy.horizon) == (LIBERO_PANDA, ("agentview", "eye_in_hand"), 8)


def test_policy_cuts_the_chunk_at_eos(toy_checkpoint: Path):
    policy = POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu", eos_threshold=0.0))
    policy.start_substep("pick up the black bowl", "a task")
    chunk = policy.predict(observation())
    assert chunk.eos_index == 0 and len(chunk.actions) == 1 and len(chunk.eos_probabilities) == 8


@pytest.mark.parametrize("head", ["l1", "diffusion", "tokens"])
def test_every_action_head_makes_a_policy(toy_config, toy_checkpoint: Path, head: str):
    eos = {"source": "token", "threshold": None} if head == "tokens" else {"source": "head", "threshold": 0.5}
    data = dump(toy_config) | {"action_head": {"type": head}, "eos": eos}
    config = parse(CompactModelConfig, data, "test")
    save_model(toy_checkpoint, config, build_compact(config), step=9)
    policy = POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu"))
    policy.start_substep("open the top drawer", "")
    assert len(policy.predict(observation()).eos_probabilities) == 8


def test_policy_depends_on_image_proprioception_and_words(toy_checkpoint: Path):
    policy = POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu", eos_threshold=1.0))

    def actions(instruction: str, seen: Observation) -> np.ndarray:
        policy.start_substep(instruction, "")
        return policy.predict(seen).actions[:, :6]

    first, other = observation(0), observation(1)
    base = actions("pick up the black bowl", first)
    assert np.abs(actions("pick up the black bowl", Observation(other.images, first.proprio)) - base).max() > 0
    assert np.abs(actions("pick up the black bowl", Observation(first.images, other.proprio)) - base).max() > 0
    assert np.abs(actions("open the top drawer of the cabinet", first) - base).max() > 0
    np.testing.assert_array_equal(actions("pick up the black bowl", first), base)


def test_settings_the_model_cannot_follow_are_refused(toy_checkpoint: Path):
    with pytest.raises(ValueError, match="bfloat16"):
        POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu", dtype="bfloat16"))
    policy = POLICIES.load(str(toy_checkpoint), PolicySettings(device="cpu"))
    with pytest.raises(ValueError, match="before start_substep"):
        policy.predict(observation())


def test_latency_is_measured_for_a_checkpoint(toy_checkpoint: Path, capsys):
    assert main(["checkpoint", "latency", str(toy_checkpoint), "--repeats", "3"]) == 0
    printed = capsys.readouterr().out
    assert "in float32, on processor, 1 threads" in printed and "as loaded" in printed
    assert main(["checkpoint", "latency", str(toy_checkpoint / "nowhere")]) == 2


def test_the_default_model_keeps_to_twelve_million_parameters():
    model = build_compact(CompactModelConfig(robot=load_robot(LIBERO_PANDA)))
    assert sum(parameter.numel() for parameter in model.parameters()) <= 12_000_000


def test_the_policy_that_ships_is_small():
    folder = WEIGHTS / "compact"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 30_000_000
    config, model = CHECKPOINTS.load(folder)
    assert misfit(config.robot, config.cameras, config.chunk_length, load_robot(LIBERO_PANDA)) == ""
    assert 1_000_000 < sum(parameter.numel() for parameter in model.parameters()) <= 12_000_000


def test_a_policy_that_ships_is_inspected_by_its_name(capsys):
    assert main(["checkpoint", "inspect", "compact"]) == 0
    text = capsys.readouterr().out
    assert "weights/compact: compact, chunks of 8 actions" in text and "complete: it can be loaded" in text
    assert main(["checkpoint", "inspect", "demonstrator"]) == 2
    assert "policy 'demonstrator' has no checkpoint" in capsys.readouterr().err


def test_inspection_names_what_a_checkpoint_holds_and_what_it_lacks(toy_checkpoint: Path, capsys):
    assert main(["checkpoint", "inspect", str(toy_checkpoint)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "compact, chunks of 8 actions, cameras agentview, eye_in_hand" in text
    assert "action head l1; EOS: head, threshold 0.03, first" in text
    assert "complete: it can be loaded" in text
    find_component(toy_checkpoint, "eos_head").unlink()
    (toy_checkpoint / "dataset_statistics.json").unlink()
    assert main(["checkpoint", "inspect", str(toy_checkpoint)]) == 1
    text = capsys.readouterr().out
    assert "has no eos_head--latest_checkpoint.pt" in text and "dataset_statistics.json is missing" in text

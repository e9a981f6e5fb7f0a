"""Published checkpoints of π0.5, LeRobot's and openpi's: loaded whole, or refused with what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from substep_cli.grammar import main
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.observation import Observation
from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.models.kind import kind_of
from substep_policy.models.pi05.policy import Pi05Policy
from substep_policy.models.pi05.published import load_model, save_model
from substep_policy.models.pi05.published_config import read_config
from substep_policy.models.pi05.published_keys import EMBEDDING, OUTPUT
from substep_policy.models.pi05.statistics import find_statistics
from substep_policy.models.pi05.tokenizer import find_tokenizer
from substep_policy.registry import POLICIES, PolicySettings
from tests.pi05 import drawn as toy
from tests.pi05.toy import drawn_model, toy_config
from tests.pi05.toy_checkpoint import (
    HIGH,
    LOW,
    STATE_HIGH,
    STATE_LOW,
    WORDS,
    sizes,
    write_eos_head,
    write_lerobot,
    write_openpi,
)

CPU = torch.device("cpu")
SETTINGS = PolicySettings(device="cpu")


@pytest.fixture(scope="module")
def lerobot(tmp_path_factory) -> Path:
    return write_lerobot(tmp_path_factory.mktemp("lerobot") / "pi05_toy")


@pytest.fixture(scope="module")
def openpi(tmp_path_factory) -> Path:
    return write_openpi(tmp_path_factory.mktemp("openpi") / "pi05_toy")


def observation() -> Observation:
    random = np.random.default_rng(0)
    robot = load_robot(LIBERO_PANDA)
    images = {name: random.integers(0, 255, (40, 40, 3), np.uint8) for name in robot.camera_names}
    return Observation(images, random.uniform(-1, 1, robot.state_width).astype(np.float32))


def policy(folder: Path) -> Pi05Policy:
    made = POLICIES.load(str(folder), SETTINGS)
    made.start_substep("pick up the bowl", "clean up")
    return made


@pytest.mark.parametrize("layout", ["lerobot", "openpi"])
def test_every_weight_is_the_files(layout, request):
    """None stays random; embedding and output layer are one."""
    config, model = load_model(request.getfixturevalue(layout), CPU, torch.float32)
    expected = drawn_model(toy_config()).state_dict()
    assert config.cameras == ("agentview", "eye_in_hand") and config.chunk_length == toy.CHUNK
    assert set(model.state_dict()) == set(expected)
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert not any(buffer.is_meta for buffer in model.buffers())


def test_both_layouts_give_the_same_chunk_in_the_robots_units(lerobot, openpi):
    """LeRobot's says how many actions of a chunk are played; the gripper says open or closed."""
    chunks = [policy(folder).predict(observation()) for folder in (lerobot, openpi)]
    assert [len(chunk.actions) for chunk in chunks] == [toy.CHUNK - 1, toy.CHUNK]
    np.testing.assert_allclose(chunks[0].actions, chunks[1].actions[:-1], atol=1e-5)  # LeRobot's are in float32
    assert set(np.unique(chunks[0].actions[:, 6])) <= {-1.0, 1.0}
    assert np.isfinite(chunks[0].actions).all() and np.abs(chunks[0].actions[:, :6]).max() <= 1.0


def test_a_policy_that_cannot_end_a_substep_says_so_when_it_is_loaded(lerobot, tmp_path, caplog):
    policy(lerobot)
    assert f"{lerobot}: the model has no EOS, so no substep ends by its word" in caplog.text
    folder = write_openpi(tmp_path / "toy")
    write_eos_head(folder, 0.5)
    caplog.clear()
    policy(folder)
    assert "has no EOS" not in caplog.text and "is a default" in caplog.text


def test_proprioception_and_words_matter(lerobot):
    """The same noise, another place, another substep: another chunk."""
    made, seen = policy(lerobot), observation()

    def chunk(instruction: str, proprio: np.ndarray) -> np.ndarray:
        torch.manual_seed(0)
        made.start_substep(instruction, "")
        return made.predict(Observation(seen.images, proprio)).actions

    first = chunk("pick up the bowl", seen.proprio)
    np.testing.assert_array_equal(chunk("pick up the bowl", seen.proprio), first)
    assert not np.array_equal(chunk("up the bowl", seen.proprio), first)
    low, high = (chunk("pick up the bowl", bound.astype(np.float32)) for bound in (STATE_LOW - 0.1, STATE_HIGH + 0.1))
    assert not np.array_equal(low, high)


def test_it_names_a_substep(lerobot):
    said = policy(lerobot).next_substep(observation(), "pick up the bowl")
    assert isinstance(said.text, str) and 0.0 < said.probability <= 1.0
    assert said.is_complete or said.text


@pytest.mark.parametrize(("mode", "number"), [("QUANTILES", 3), ("QUANTILES", 2), ("MEAN_STD", 3)])
def test_statistics_are_found_by_the_steps_name_and_scale_as_it_says(mode, number, tmp_path):
    folder = write_lerobot(tmp_path / "toy", mode, number)
    found = find_statistics(folder, None, read_config(folder))
    for part, low, high in ((found.action, LOW, HIGH), (found.proprio, STATE_LOW, STATE_HIGH)):
        np.testing.assert_allclose(part.q01, low, atol=1e-6)
        np.testing.assert_allclose(part.q99, high, atol=1e-6)


def test_openpis_statistics_have_their_data_sets_name(openpi, tmp_path):
    config = read_config(openpi)
    np.testing.assert_allclose(find_statistics(openpi, "physical-intelligence/libero", config).action.q01, LOW)
    with pytest.raises(CheckpointError, match="statistics of physical-intelligence/libero, not of 'droid'"):
        find_statistics(openpi, "droid", config)


def test_statistics_of_vectors_that_were_filled_up_are_those_of_the_robots_values(tmp_path):
    """But of another robot's values that do vary there are none too many."""
    folder = write_openpi(tmp_path / "toy")
    config, expected = read_config(folder), find_statistics(folder, None, read_config(folder))
    (path,) = folder.glob("assets/**/norm_stats.json")
    content = json.loads(path.read_text())
    for part in content["norm_stats"].values():
        part |= {name: [*row, *[0.0] * (32 - len(row))] for name, row in part.items()}
    path.write_text(json.dumps(content))
    found = find_statistics(folder, None, config)
    np.testing.assert_array_equal(found.action.q99, expected.action.q99)
    np.testing.assert_array_equal(found.proprio.mean, expected.proprio.mean)
    content["norm_stats"]["state"]["q99"][20] = 0.5
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="norm_stats.json describes 32 proprio values, expected 8"):
        find_statistics(folder, None, config)


def test_a_policy_goes_over_to_the_statistics_of_another_data_set(tmp_path):
    """As loading it with those does: the words for proprioception and the scale of actions."""
    folder = write_openpi(tmp_path / "toy")
    (first,) = (folder / "assets").glob("**/norm_stats.json")
    wider = json.loads(first.read_text())
    for part in wider["norm_stats"].values():
        part |= {"q01": [3.0 * value for value in part["q01"]], "q99": [3.0 * value for value in part["q99"]]}
    (folder / "assets/wider").mkdir()
    (folder / "assets/wider/norm_stats.json").write_text(json.dumps(wider))
    name, chunks = str(first.parent.relative_to(folder / "assets")), []
    for begun, then in ((name, name), ("wider", "wider"), (name, "wider")):
        made = POLICIES.load(str(folder), PolicySettings(device="cpu", dataset=begun))
        made.use_dataset(then)
        made.start_substep("pick up the bowl", "clean up")
        torch.manual_seed(0)
        chunks.append(made.predict(observation()).actions)
    assert np.array_equal(chunks[1], chunks[2]) and not np.array_equal(chunks[0], chunks[1])


def test_this_projects_own_folder_gives_everything_back(lerobot, tmp_path):
    config, model = load_model(lerobot, CPU, torch.float32)
    save_model(tmp_path, config, model.state_dict(), step=3)
    again, same = load_model(tmp_path, CPU, torch.float32)
    assert again == config and kind_of(tmp_path) is kind_of(lerobot)
    for name, value in model.state_dict().items():
        assert torch.equal(same.state_dict()[name], value), name


def test_what_denoises_stays_in_single_precision(lerobot):
    _, model = load_model(lerobot, CPU, torch.bfloat16)
    types = {name: weight.dtype for name, weight in model.named_parameters()}
    assert types["action_out_proj.weight"] == types["time_mlp_in.bias"] == torch.float32
    assert types["backbone.expert.layers.0.mlp.up_proj.weight"] == torch.bfloat16
    assert np.isfinite(policy(lerobot).predict(observation()).actions).all()


def test_inspect_says_what_there_is(lerobot, capsys):
    assert main(["checkpoint", "inspect", str(lerobot)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "π0.5, chunks of 4 actions, 3 played, cameras agentview, eye_in_hand, state in the prompt: discrete" in text
    assert "statistics fits pi05_toy" in text and f"tokenizer fits {len(WORDS)} tokens, the model knows 64" in text
    assert "complete: it can be loaded" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_relative_actions": True}, "use_relative_actions is on, and a model that works so is not supported"),
        ({"paligemma_variant": "gemma_9b"}, "paligemma_variant is 'gemma_9b', expected 'gemma_2b'"),
        ({"image_resolution": [224, 280]}, "image_resolution is [224, 280], expected a square"),
        ({"input_features": {"observation.images.top": {"type": "VISUAL"}}}, "takes 1 images (observation.images.top)"),
        ({"output_features": {"action": {"shape": [14]}}}, "actions have 14 values, and robot libero_panda 7"),
        ({"output_features": {"action": {"shape": []}}}, "actions have [] values, and robot libero_panda 7"),
        (
            {"input_features": {"observation.state": {"shape": [14]}}},
            "the state has 14 values, and robot libero_panda 8",
        ),
        ({"max_action_dim": 5}, "actions have 7 values, action_head.width is 5"),
        ({"chunk_size": 10**9}, "backbone.chunk_length is 1000000000"),
        ({"num_inference_steps": 10**9}, "action_head.sampling_steps is 1000000000"),
        ({"image_resolution": 224}, "config.json is not as LeRobot, openpi or this project write it: TypeError"),
        ({"substep": {"backbone": {"image_size": 10**6}}}, "backbone.image_size is 1000000"),
        ({"input_features": ["observation.state"]}, "config.json is not as LeRobot"),
        ({"output_features": {"action": None}}, "config.json is not as LeRobot"),
        ({"substep": []}, "config.json is not as LeRobot"),
        ({"substep": {"backbone": {"vision": {"heads": 0}}}}, "vision.siglip.heads is 0"),
        ({"substep": {"backbone": {"vision": {"layers": 10**6}}}}, "vision.siglip.layers is 1000000"),
        ({"substep": {"backbone": {"expert": {"key_value_heads": 0}}}}, "expert.key_value_heads is 0"),
        ({"substep": {"backbone": {"language_model": {"layers": 10**6}}}}, "language_model.layers is 1000000"),
        ({"substep": {"backbone": {"vision": {"patch_size": 0}}}}, "patch_size is 0"),
    ],
)
def test_what_it_cannot_do_is_named(changes, message, tmp_path, capsys):
    folder = write_lerobot(tmp_path / "toy", **changes)
    assert main(["checkpoint", "inspect", str(folder)]) == 1
    assert message in " ".join(capsys.readouterr().out.split())


BASE = {  # what fine-tuned checkpoints keep of LeRobot's pi05_base, whatever robot they are of
    "input_features": {
        **{
            f"observation.images.{name}_0_rgb": {"type": "VISUAL", "shape": [3, 224, 224]}
            for name in ("base", "left_wrist", "right_wrist")
        },
        "observation.state": {"type": "STATE", "shape": [32]},
    },
    "output_features": {"action": {"type": "ACTION", "shape": [toy.PADDED_ACTION]}},
}


def test_a_padded_state_and_a_camera_it_was_trained_without_are_no_misfit(lerobot, tmp_path):
    """It acts as one whose file names the robot's own two cameras; but which they are is to be said."""
    with pytest.raises(CheckpointError, match=r"takes 3 images .*; those that it was trained without are left out"):
        read_config(write_lerobot(tmp_path / "unsaid", **BASE))
    told = sizes()
    told["backbone"]["cameras"] = ["agentview", "eye_in_hand"]
    chunks = []
    for folder in (write_lerobot(tmp_path / "said", substep=told, **BASE), lerobot):
        made = policy(folder)
        torch.manual_seed(0)
        chunks.append(made.predict(observation()).actions)
    np.testing.assert_array_equal(*chunks)
    features = BASE["input_features"] | {"observation.images.base_0_rgb": {"type": "STATE"}}
    features.pop("observation.images.left_wrist_0_rgb")
    with pytest.raises(CheckpointError, match="takes 1 images"):
        read_config(write_lerobot(tmp_path / "more", substep=told, **BASE | {"input_features": features}))


def test_weights_that_are_missing_or_of_another_model_are_named(lerobot, tmp_path, capsys):
    folder = write_lerobot(tmp_path / "toy")
    file = folder / "model.safetensors"
    state = load_file(file)
    key = "model.paligemma_with_expert.gemma_expert.model.layers.1.mlp.up_proj.weight"
    save_file({name: value for name, value in state.items() if name != key}, file)
    with pytest.raises(CheckpointError, match=f"{key.removeprefix('model.')} is missing"):
        load_model(folder, CPU, torch.float32)
    save_file(state | {"model.state_proj.weight": torch.zeros(2, 2)}, file)
    with pytest.raises(CheckpointError, match="holds a π0, which has a state token, and not a π0.5"):
        load_model(folder, CPU, torch.float32)
    (folder / "tokenizer.json").write_text("{}")
    assert main(["checkpoint", "inspect", str(folder)]) == 1
    assert "tokenizer.json is not a tokenizer.json" in " ".join(capsys.readouterr().out.split())


WEIGHT = "model.paligemma_with_expert.gemma_expert.model.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state | {"model.new": torch.zeros(2)}, "new is unknown"),
        (lambda state: state | {WEIGHT.removeprefix("model."): torch.zeros(2)}, "up_proj.weight twice"),
        (lambda state: state | {WEIGHT: state[WEIGHT][:-1]}, r"shape \(39, 24\), expected \(40, 24\)"),
        (lambda state: state | {WEIGHT: state[WEIGHT].to(torch.int8)}, r"whole numbers \(int8\)"),
        (
            lambda state: state | {WEIGHT: state[WEIGHT].to(torch.float8_e4m3fn)},
            "has numbers of type F8_E4M3, expected one of",
        ),
    ],
    ids=["unknown", "twice", "shape", "int8", "fp8"],
)
def test_weights_that_are_not_the_models_are_refused(change, message, tmp_path, capsys):
    folder = write_lerobot(tmp_path / "toy")
    file = folder / "model.safetensors"
    save_file({key: value.contiguous() for key, value in change(load_file(file)).items()}, file)
    with pytest.raises(CheckpointError, match=message):
        load_model(folder, CPU, torch.float32)
    assert main(["checkpoint", "inspect", str(folder)]) == 1
    assert re.search(message, " ".join(capsys.readouterr().out.split()))


def shard(folder: Path) -> None:
    """Put the weights into two files, the later of which has the output layer and not the embedding."""
    file = folder / "model.safetensors"
    state = load_file(file)
    last = [key for key in state if "vision_tower" in key or "lm_head" in key]
    names = {key: f"model-0000{1 + (key in last)}-of-00002.safetensors" for key in state}
    for name in set(names.values()):
        save_file({key: state[key] for key in state if names[key] == name}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    file.unlink()


@pytest.mark.parametrize("is_sharded", [False, True])
def test_where_embedding_and_output_layer_are_apart_the_embedding_is_taken(is_sharded, tmp_path, caplog):
    """LeRobot's trained ones have both: what it trains is the embedding."""
    folder = write_lerobot(tmp_path / "toy")
    file = folder / "model.safetensors"
    state = load_file(file)
    embedding = torch.ones_like(state[f"model.{OUTPUT}"])
    save_file(state | {f"model.{EMBEDDING}": embedding}, file)
    if is_sharded:
        shard(folder)
    _, model = load_model(folder, CPU, torch.float32)
    assert torch.equal(model.backbone.language_model.embed_tokens.weight, embedding)
    assert is_sharded or "the output layer is not the embedding" in caplog.text


def test_shards_are_read_as_one_file(lerobot, tmp_path):
    folder = write_lerobot(tmp_path / "toy")
    shard(folder)
    (_, expected), (_, model) = load_model(lerobot, CPU, torch.float32), load_model(folder, CPU, torch.float32)
    for name, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert main(["checkpoint", "inspect", str(folder)]) == 0
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002.safetensors is missing"):
        load_model(folder, CPU, torch.float32)


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("q01", [float("nan")] * 7, "actions: q01 is .*, expected a row of finite numbers"),
        ("q01", [9.0] * 7, "actions: q01 and q99 of value 0 are 9 and 0.1, the wrong way round"),
        ("q01", [[0.0] * 7], "actions: q01 is .*, expected a row of finite numbers"),
        ("q01", [0.0] * 3, "actions: statistics have unequal lengths"),
        ("std", "x", "actions: std is no row of numbers"),
        (None, [], "norm_stats.json is not as LeRobot"),
    ],
)
def test_statistics_of_openpi_that_are_none_are_refused(part, values, message, tmp_path):
    folder = write_openpi(tmp_path / "toy")
    (path,) = folder.glob("assets/**/norm_stats.json")
    content = json.loads(path.read_text())
    content["norm_stats"]["actions"] = values if part is None else content["norm_stats"]["actions"] | {part: values}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"norm_stats.json.*{message.removeprefix('norm_stats.json')}"):
        find_statistics(folder, None, read_config(folder))
    assert main(["checkpoint", "inspect", str(folder)]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"state_file": "../../elsewhere.safetensors"},
            "names the file '../../elsewhere.safetensors', expected one of",
        ),
        ({"state_file": "/etc/passwd"}, "names the file '/etc/passwd', expected one of"),
        ({"config": []}, "policy_preprocessor.json is not as LeRobot"),
        (
            {"registry_name": "pi05_delta_joint_actions_processor_step"},
            "has the step pi05_delta_joint_actions_processor_step, and actions relative to the state are not supported",
        ),
        ({"config": {"norm_map": {"STATE": []}}}, "policy_preprocessor.json is not as LeRobot"),
    ],
)
def test_a_processor_of_lerobot_that_is_none_is_refused(change, message, tmp_path):
    folder = write_lerobot(tmp_path / "toy")
    path = folder / "policy_preprocessor.json"
    content = json.loads(path.read_text())
    content["steps"][1] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        find_statistics(folder, None, read_config(folder))


def test_statistics_of_lerobot_that_are_not_finite_are_refused(tmp_path):
    folder = write_lerobot(tmp_path / "toy")
    (path,) = folder.glob("policy_postprocessor*.safetensors")
    save_file({key: torch.full_like(value, torch.nan) for key, value in load_file(path).items()}, path)
    with pytest.raises(ValueError, match="unnormalizer_processor.safetensors: action: .* expected a row of finite"):
        find_statistics(folder, None, read_config(folder))


def test_what_a_tokenizer_file_says_of_padding_and_cutting_is_not_obeyed(lerobot, tmp_path):
    """It is of whoever used the file last."""
    folder = write_lerobot(tmp_path / "toy")
    path = folder / "tokenizer.json"
    padding = {"strategy": {"Fixed": 64}, "direction": "Left", "pad_to_multiple_of": None}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"}
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding": padding, "truncation": cut}))
    text = "Task: pick up the bowl"
    assert find_tokenizer(folder).encode(text) == find_tokenizer(lerobot).encode(text)


def test_a_folder_of_neither_layout_is_no_policy(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"type": "pi0", "chunk_size": 50}))
    with pytest.raises(ValueError, match="model_type None and type 'pi0', expected one of compact"):
        kind_of(tmp_path)

"""The command that times a policy."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from substep_cli.grammar import main
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.benchmarks import openvla_variants
from substep_policy.benchmarks.openvla_variants import Variant, count_operations, random_policy, restructure
from substep_policy.benchmarks.random_models import (
    INSTRUCTION,
    published_model,
    random_openvla,
    toy_model,
    word_tokenizer,
)
from substep_policy.models.openvla.policy import OpenVLAPolicy
from substep_policy.models.openvla.prompt import OpenVLAPromptBuilder

ROBOT = load_robot(LIBERO_PANDA)
CPU = torch.device("cpu")
BENCH = ["bench", "policy", "--model", "random-toy"]


def test_without_a_gpu_the_toy_size_is_timed_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "latency.json"
    assert main(["bench", "policy", "--repeats", "2", "--device", "cpu", "--json", str(out)]) == 0
    printed = capsys.readouterr()
    assert "no GPU here: timing the toy size" in printed.err
    report = json.loads(out.read_text())
    assert [row["name"] for row in report["rows"]] == ["reference", "eager", "int8"], "what a processor can do"
    assert all(0 < row["chunk"]["median"] <= row["chunk"]["p99"] for row in report["rows"])
    assert report["operations"] == count_operations(toy_model(ROBOT)) > 0
    assert report["floor_ms"] == pytest.approx(1e3 * report["operations"] / report["rate"])


def test_the_published_size_takes_about_nine_teraflop_a_chunk() -> None:
    assert 8.5e12 < count_operations(published_model(ROBOT)) < 9.5e12


def test_an_unknown_variant_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--device", "cpu", "--variants", "eagre"]) == 2
    assert "there is no variant 'eagre', only 'reference'" in capsys.readouterr().err


def test_a_variant_that_fails_says_why_and_the_others_are_timed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(config: object, variant: Variant, *more: object) -> OpenVLAPolicy:
        if variant.name == "reference":
            raise torch.OutOfMemoryError("tried to allocate 15 GiB\nsome advice")
        return random_policy(config, variant, *more)

    monkeypatch.setattr(openvla_variants, "random_policy", failing)
    out = tmp_path / "latency.json"
    variants = ["--variants", "reference", "eager"]
    assert (
        main(
            [
                "bench",
                "policy",
                "--model",
                "random-toy",
                "--device",
                "cpu",
                "--repeats",
                "2",
                *variants,
                "--json",
                str(out),
            ]
        )
        == 1
    )
    printed = capsys.readouterr()
    assert "reference               failed: OutOfMemoryError: tried to allocate 15 GiB\neager" in printed.out
    assert "1 of 2 variants failed" in printed.err
    failed, timed = json.loads(out.read_text())["rows"]
    assert failed == {"name": "reference", "error": "OutOfMemoryError: tried to allocate 15 GiB"}
    assert timed["chunk"]["median"] > 0


def test_too_little_memory_on_a_processor_is_a_row_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    out = tmp_path / "latency.json"
    assert main([*BENCH, "--device", "cpu", "--variants", "eager", "--json", str(out)]) == 1
    assert "eager                   failed: TooLargeError: a model with random weights" in capsys.readouterr().out
    assert "take a smaller number type" in json.loads(out.read_text())["rows"][0]["error"]


def test_a_policy_that_ships_is_timed_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "latency", "compact", "--repeats", "1", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("compact in float32, on processor")
    assert main(["checkpoint", "latency", "demonstrator", "--device", "cpu"]) == 2
    assert "'demonstrator' needs a simulated world to look at" in capsys.readouterr().err


def test_the_reference_does_the_published_work_for_the_same_actions() -> None:
    """Every image on its own, logits at every position; this project's own way does without."""
    config, backbone = toy_model(ROBOT), toy_model(ROBOT).backbone
    prompts = OpenVLAPromptBuilder(word_tokenizer(config), config).build([INSTRUCTION])
    inputs = {
        "pixel_values": torch.randn(1, 2, 6, backbone.image_size, backbone.image_size),
        "proprio": torch.randn(1, 8),
        "input_ids": torch.from_numpy(prompts.input_ids),
        "attention_mask": torch.from_numpy(prompts.attention_mask),
        "slot_start": torch.from_numpy(prompts.slot_start),
    }
    model = random_openvla(config, CPU, torch.float32)
    images, logits = [], []
    model.backbone.vision_backbone.featurizer.patch_embed.register_forward_hook(
        lambda *call: images.append(len(call[2]))
    )
    model.backbone.language_model.lm_head.register_forward_hook(lambda *call: logits.append(call[2].shape[1]))
    with torch.inference_mode():
        ours, _ = model.act(inputs)
        assert (images, logits) == ([2], [])
        restructure(model)
        published, _ = model.act(inputs)
    assert (images[1:], logits) == ([1, 1], [prompts.input_ids.shape[1] + config.patches + 1])
    torch.testing.assert_close(published, ours, rtol=0, atol=1e-5)

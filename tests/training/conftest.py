"""Toy data sets and runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from accelerate.state import AcceleratorState

from substep_core.configuration import parse
from substep_core.contract import LIBERO_PANDA
from substep_policy.benchmarks.random_models import write_random_compact
from substep_policy.models.compact.model import CompactModelConfig
from tests.training.toy import DEMOS, FORMAT, ROBOT, ToyDemo, true_labels, write_hdf5
from training.data.frame_cache import DemonstrationStore
from training.data.readers import LiberoHdf5Source, ReadReport, read_demonstrations
from training.train.config import FinetuneConfig, read_config

TOY_MODEL = {
    "chunk_length": 4,
    "backbone": {
        "type": "compact",
        "vision_widths": [8, 8, 8],
        "vision_blocks": [1, 1],
        "vocabulary_size": 600,
        "text_layers": 1,
        "width": 16,
        "heads": 2,
        "decoder_layers": 1,
        "action_width": 4,
    },
    "action_head": {"type": "l1", "hidden_dim": 16, "blocks": 1},
    "eos_head": {"hidden_dim": 16},
    "preprocessing": {"image_size": 16, "max_instruction_tokens": 48},
}


def write_untrained_policy(folder: Path, eos_threshold: float) -> Path:
    """A tiny compact policy for LIBERO's robot."""
    content = {**TOY_MODEL, "robot": LIBERO_PANDA, "eos": {"threshold": eos_threshold}}
    folder.mkdir(exist_ok=True)
    write_random_compact(folder, parse(CompactModelConfig, content, "test"))
    return folder


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps precision and devices for the life of a process; a run has a process of its own."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> DemonstrationStore:
    """``DEMOS`` in a cache."""
    folder = tmp_path_factory.mktemp("store")
    write_hdf5(folder / "demos/libero_goal", DEMOS)
    store = DemonstrationStore(folder / "cache", FORMAT)
    report = ReadReport()
    store.extend(read_demonstrations([LiberoHdf5Source(path=folder / "demos")], ROBOT, report), report)
    return store


def training_file(path: Path, demos: Sequence[ToyDemo], data: Mapping[str, Any], **settings: Any) -> Path:
    """A training's YAML file, and beside it the demonstrations that it names, with their labels."""
    folder = path.parent
    write_hdf5(folder / "demos/libero_goal", demos)
    true_labels(demos).save(folder / "substep_labels.json")
    content = {
        "out": str(folder / "run"),
        "data": {
            "sources": [{"type": "libero_hdf5", "path": str(folder / "demos")}],
            "labels": str(folder / "substep_labels.json"),
            "cache": str(folder / "cache"),
            "workers": 0,
            **data,
        },
        **settings,
    }
    path.write_text(yaml.safe_dump(content))
    return path


def large_runs(
    folder: Path, model: dict[str, Any], data: Mapping[str, Any] = MappingProxyType({}), **settings: Any
) -> Callable[..., FinetuneConfig]:
    """As ``toy_runs``, of a large model, on four short demonstrations; the file is ``folder/large.yaml``."""
    usual = {
        "optimizer": {"batch_size": 4, "warmup_steps": 1, "learning_rate": 0.01},
        "gradient_checkpointing": True,
        "distribution_batches": 0,
    }
    taken = {"held_out_every": 0, "augmentation": {"type": "crop_and_colour"}, **data}
    demos = [ToyDemo(12, seed) for seed in range(4)]
    path = training_file(folder / "large.yaml", demos, taken, model=model, **{**usual, **settings})
    return lambda *overrides: read_config(path, overrides)


def toy_runs(folder: Path) -> Callable[..., FinetuneConfig]:
    """``toy_runs(folder)("steps=3", …)``: the configuration of a run on six short demonstrations.

    The file is ``folder/config.yaml``.
    """
    path = training_file(
        folder / "config.yaml",
        [ToyDemo(18, seed) for seed in range(6)],
        {"held_out_every": 3, "augmentation": {"shift": 1}},
        model=TOY_MODEL,
        optimizer={"batch_size": 8, "warmup_steps": 2, "learning_rate": 0.001},
        steps=4,
        log_every=1,
        save_every=2,
        distribution_batches=2,
    )
    return lambda *overrides: read_config(path, overrides)


@pytest.fixture
def large_run(tmp_path: Path) -> Callable[..., Callable[..., FinetuneConfig]]:
    return functools.partial(large_runs, tmp_path)


@pytest.fixture
def toy_run(tmp_path: Path) -> Callable[..., FinetuneConfig]:
    return toy_runs(tmp_path)

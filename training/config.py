"""Configuration of ``finetune_substep``: a YAML file, overridden by ``key.subkey=value`` on the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Discriminator, Field, Tag

from substep_policy.backbones.openvla import published_config
from substep_policy.checkpoint import CONFIG_FILE as CHECKPOINT_CONFIG_FILE
from substep_policy.checkpoint import read_config as read_model_config
from substep_policy.configuration import configuration, dump, parse
from substep_policy.eos import EosSource
from substep_policy.hub import checkpoint_folder
from substep_policy.model import DIRECT_EOS_THRESHOLD, ModelConfig
from substep_policy.openvla_model import OpenVLAModelConfig
from training.augmentation import Augmentation, ImageAugmentation
from training.dataset import SampleRules
from training.demonstrations import Source
from training.eos_buffer import EOSBufferConfig
from training.losses import EosLoss, FocalLoss, WeightedBCE

CONFIG_FILE = "training_config.yaml"
ALL_LINEAR = "all-linear"


@configuration
class DirectEos:
    """The EOS loss is taken on every batch and reaches the backbone (S7, E3)."""

    mode: Literal["direct"] = "direct"
    loss: EosLoss = FocalLoss()
    lambda_eos: float = 1.0
    threshold: float = DIRECT_EOS_THRESHOLD


@configuration
class BufferEos:
    """The EOS loss is taken on a class-balanced buffer of stored hidden states and reaches the EOS head (E1, E3)."""

    mode: Literal["buffer"] = "buffer"
    loss: EosLoss = WeightedBCE(pos_weight=1.0)
    lambda_eos: float = 2.0
    threshold: float = 0.5
    buffer: EOSBufferConfig = EOSBufferConfig()


@configuration
class NoEosHead:
    """No EOS head is trained: actions alone, or EOS among the action tokens."""

    mode: Literal["none"] = "none"


EosTraining = Annotated[DirectEos | BufferEos | NoEosHead, Field(discriminator="mode")]


@configuration
class DataConfig:
    """What is trained on.

    Attributes:
        sources: demonstrations, in any of the formats.
        labels: a ``substep_labels.json``; None leaves every episode its task's instruction.
        cache: folder of the frames, built on first use.
        name: of the data set in ``dataset_statistics.json``.
        tokenizer: a ``tokenizer.json``; None trains one on the plans' texts.
        rules: how samples are cut.
        augmentation: of images; None for none.
        statistics: which actions and proprioception are normalised with: those of the data, or those that the initial
            checkpoint was trained with.
        action_bounds: what becomes −1 and 1: the data's 1st and 99th percentile, as published, beyond which actions are
            cut off; or "unit", for controllers that take [−1, 1], so that no motion is cut off because it is rare.
            The L1 head of an initial checkpoint with other bounds is rescaled and says the same as before.
        paraphrase_probability: share of samples that get another wording of their substep.
        held_out_every: every n-th demonstration of a task in a collection is kept for calibration; 0 keeps none.
        skip_damaged: skip and count damaged demonstrations; False stops at the first. Where a damage leaves open which
            labels are whose (``EpisodeNumbers``), reading stops all the same.
        workers: processes that read or render frames when the cache is built; 0 does it in the training process.
    """

    sources: tuple[Source, ...]
    cache: Path
    labels: Path | None = None
    name: str = "demonstrations"
    tokenizer: Path | None = None
    rules: SampleRules = SampleRules()
    augmentation: ImageAugmentation | None = Augmentation()
    statistics: Literal["data", "initial_checkpoint"] = "data"
    action_bounds: Literal["quantiles", "unit"] = "quantiles"
    paraphrase_probability: float = Field(default=0.5, ge=0, le=1)
    held_out_every: int = Field(default=10, ge=0)
    skip_damaged: bool = True
    workers: int = Field(default=1, ge=0)


@configuration
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay of the learning rate.

    Attributes:
        final_rate: share of the learning rate that is left at the last step.
        gradient_accumulation: batches whose gradients make one step.
        max_grad_norm: gradients are clipped to it (S8).
    """

    learning_rate: float = Field(default=3e-4, gt=0)
    final_rate: float = Field(default=0.1, ge=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_steps: int = Field(default=500, ge=0)
    batch_size: int = Field(default=64, ge=1)
    gradient_accumulation: int = Field(default=1, ge=1)
    max_grad_norm: float = Field(default=0.8, gt=0)


@configuration
class LoraSettings:
    """LoRA on the large backbone (Hu et al. 2021), with the published fine-tuning's values.

    Attributes:
        rank, alpha, dropout: of the adapters, which are multiplied by alpha / rank.
        target_modules: names of layers (their ends, as peft takes them), or "all-linear".
        base_dtype: numbers that the frozen weights are kept in; bfloat16 halves their memory.
    """

    rank: int = Field(default=32, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | Literal["all-linear"] = ALL_LINEAR
    base_dtype: Literal["float32", "bfloat16"] = "bfloat16"

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.base_dtype)


def _backbone_type(model: Any) -> str | None:
    """Which kind of model is meant, by ``model_type`` or ``backbone.type``; the compact one if neither is said."""
    if not isinstance(model, dict):
        return getattr(model, "model_type", None)
    backbone = model.get("backbone")
    return model.get("model_type") or (backbone.get("type") if isinstance(backbone, dict) else None) or "compact"


ModelConfiguration = Annotated[
    Annotated[ModelConfig, Tag("compact")] | Annotated[OpenVLAModelConfig, Tag("openvla")],
    Discriminator(_backbone_type),
]


@configuration
class FinetuneConfig:
    """One training run.

    Attributes:
        out: run folder: checkpoints, TensorBoard curves, log.
        model: what is trained, chosen by ``model.backbone.type``.
        keyframe_weight: of the loss that teaches the backbone where the end effector is on its way to
            (``training.keyframes``); 0 leaves it out.
        initial_checkpoint: weights to start from, a folder or a hub id such as "organisation/model"; None starts from
            random ones. A file that configures no model takes the checkpoint's.
        resume_from: a checkpoint of another run, any that is there, which this one goes on from with everything that
            resuming needs; ``out`` is a new folder, and the other run stays as it is. None starts at step 0. Once
            ``out`` has checkpoints of its own, the run goes on from the last of them.
        lora: train adapters on the large backbone's linear layers and keep the rest as it is; None trains all of it.
        gradient_checkpointing: compute activations of the large backbone again instead of keeping them.
        mixed_precision: "bf16" or "fp16" where the device has it.
        distribution_batches: batches sampled before training to print the EOS ratio (S8); 0 skips that.
        save_every: steps between checkpoints; ``keep``: how many are kept, the last ones.
        validation_batches: held-out batches whose losses are measured at every checkpoint; 0 for none.
        log_every: steps between lines of the log and points of the curves.
        prefetch: batches prepared ahead.
    """

    out: Path
    data: DataConfig
    model: ModelConfiguration = ModelConfig()
    eos: EosTraining = DirectEos()
    keyframe_weight: float = Field(default=0.0, ge=0)
    optimizer: OptimizerConfig = OptimizerConfig()
    steps: int = Field(default=20_000, ge=1)
    seed: int = Field(default=0, ge=0)
    initial_checkpoint: Path | None = None
    resume_from: Path | None = None
    lora: LoraSettings | None = None
    gradient_checkpointing: bool = False
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    distribution_batches: int = Field(default=50, ge=0)
    save_every: int = Field(default=1000, ge=1)
    keep: int = Field(default=3, ge=1)
    validation_batches: int = Field(default=10, ge=0)
    log_every: int = Field(default=20, ge=1)
    prefetch: int = Field(default=2, ge=1)

    def __post_init__(self) -> None:
        trains_head = not isinstance(self.eos, NoEosHead)
        if trains_head != (self.model.eos_head is not None):
            has = "null" if self.model.eos_head is None else "there"
            raise ValueError(f"eos mode is {self.eos.mode!r}, but model.eos_head is {has}: both or neither")
        if self.data.statistics == "initial_checkpoint" and self.initial_checkpoint is None:
            raise ValueError("data.statistics is 'initial_checkpoint', but there is no initial_checkpoint")
        if isinstance(self.model, ModelConfig):
            self._check_compact()
        else:
            self._check_openvla()

    def _check_compact(self) -> None:
        if self.lora is not None or self.gradient_checkpointing:
            raise ValueError("lora and gradient_checkpointing are for the openvla backbone, and model is compact")

    def _check_openvla(self) -> None:
        if self.initial_checkpoint is None and self.lora is not None:
            raise ValueError("lora adapts weights that are there, and there is no initial_checkpoint")
        if self.initial_checkpoint is None and self.data.tokenizer is None:
            raise ValueError("an openvla model needs Llama's tokenizer: give initial_checkpoint or data.tokenizer")
        if self.lora is not None and self.lora.base_dtype == "bfloat16" and self.mixed_precision != "bf16":
            raise ValueError(
                f"lora.base_dtype is bfloat16, so mixed_precision must be bf16 and is {self.mixed_precision!r}"
            )

    @property
    def initial_folder(self) -> Path | None:
        """Where ``initial_checkpoint`` lies here, downloaded if need be. Raises: HubError: it cannot be had."""
        return None if self.initial_checkpoint is None else checkpoint_folder(str(self.initial_checkpoint))

    def checkpoint_model(self) -> ModelConfig | OpenVLAModelConfig:
        """What a checkpoint says of the model: as configured, with the EOS threshold of the training mode (E3).

        EOS is read from a head that is trained, where the model names no source.
        """
        if isinstance(self.eos, NoEosHead):
            return self.model
        source = EosSource.HEAD if self.model.eos.source is EosSource.NONE else self.model.eos.source
        eos = dataclasses.replace(self.model.eos, source=source, threshold=self.eos.threshold, calibrated=False)
        return dataclasses.replace(self.model, eos=eos)


def read_config(path: Path, overrides: Sequence[str] = ()) -> FinetuneConfig:
    """A YAML file with ``key.subkey=value`` overrides.

    Raises:
        ValueError: the file is not YAML, or a key or value is wrong; the message names it.
        OSError: the file cannot be read.
    """
    try:
        parts = [OmegaConf.load(path), OmegaConf.from_dotlist(list(overrides))]
        base, changes = (OmegaConf.to_container(part, resolve=True) for part in parts)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path} with {' '.join(overrides) or 'no overrides'}: {error}") from error
    content = override(base, changes)
    if isinstance(content, dict) and content.get("initial_checkpoint") and "model" not in content:
        content = {**content, "model": dump(model_of(checkpoint_folder(content["initial_checkpoint"])))}
    return parse(FinetuneConfig, content, f"{path}{' and overrides' if overrides else ''}")


def model_of(folder: Path) -> ModelConfig | OpenVLAModelConfig:
    """The model that a checkpoint holds. Raises: CheckpointError: it is none, or of no known kind."""
    if published_config.read_json(folder / CHECKPOINT_CONFIG_FILE).get("model_type") == published_config.MODEL_TYPE:
        return published_config.read_config(folder)
    return read_model_config(folder)


def override(base: Any, changes: Any) -> Any:
    """Merge nested mappings. A mapping of another kind (``type`` or ``mode``) takes the other's place altogether."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    if any(tag in changes and changes[tag] != base.get(tag) for tag in ("type", "mode")):
        return changes
    return base | {key: override(base[key], value) if key in base else value for key, value in changes.items()}


def changes(before: FinetuneConfig, after: FinetuneConfig) -> str:
    """In words, what differs between two configurations."""
    old, new = _flat(dump(before)), _flat(dump(after))
    found = [f"{key} {old.get(key)} -> {new.get(key)}" for key in sorted(old | new) if old.get(key) != new.get(key)]
    return f"changed since: {', '.join(found)}" if found else "with the same configuration"


def _flat(data: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings -> one, by dotted key."""
    if not isinstance(data, dict):
        return {prefix: data}
    parts = [_flat(part, f"{prefix}.{name}".strip(".")) for name, part in data.items()]
    return {key: leaf for part in parts for key, leaf in part.items()}


def write_config(config: FinetuneConfig, folder: Path) -> None:
    """Echo the whole configuration, defaults included, into a folder."""
    (folder / CONFIG_FILE).write_text(yaml.safe_dump(dump(config), sort_keys=False))

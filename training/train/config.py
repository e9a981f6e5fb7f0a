"""Configuration of ``finetune_substep``: a YAML file, whose keys are options of ``./substep train policy`` too."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
import yaml
from pydantic import Field

from substep_core.configuration import configuration, dump, parse, registered
from substep_core.contract import LIBERO_PANDA, NamedRobot, load_robot, vector_misfit
from substep_core.yaml_mapping import value_of
from substep_policy.eos import EosSource
from substep_policy.models.kind import MODEL_KINDS, ModelConfiguration, kind_of
from substep_policy.models.model import DIRECT_EOS_THRESHOLD
from substep_policy.registry import POLICIES
from training.data.augmentation import Augmentation, ImageAugmentation
from training.data.dataset import SampleRules
from training.data.grippers import has_keyframes, keyframes_missing
from training.data.readers import Source
from training.train.eos_buffer import EOSBufferConfig
from training.train.losses import EosLoss, FocalLoss, WeightedBCE
from training.train.models import model_training
from training.train.modes import ActionsOnly, Mode, WordsAndActionTokens, WordsOnly

CONFIG_FILE = "training_config.yaml"
ALL_LINEAR = "all-linear"


@configuration
class DirectEos:
    """The EOS loss is taken on every batch and reaches the backbone.

    Attributes:
        threshold: of checkpoints as long as none is chosen on held-out demonstrations; None: the one that was chosen
            for the initial checkpoint, else ``default_threshold``.
    """

    default_threshold: ClassVar[float] = DIRECT_EOS_THRESHOLD
    mode: Literal["direct"] = "direct"
    loss: EosLoss = FocalLoss()
    lambda_eos: float = 1.0
    threshold: float | None = None


@configuration
class BufferEos:
    """The EOS loss is taken on a class-balanced buffer of stored hidden states and reaches the EOS head.

    Attributes:
        threshold: as ``DirectEos``.
    """

    default_threshold: ClassVar[float] = 0.5
    mode: Literal["buffer"] = "buffer"
    loss: EosLoss = WeightedBCE(pos_weight=1.0)
    lambda_eos: float = 2.0
    threshold: float | None = None
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
        robot: whose demonstrations they are: a contract, its file, or the name of one that ships.
        sources: demonstrations, in any of the formats.
        labels: a ``substep_labels.json`` of all sources that have none of their own and no ``collection``; None: the
            one in the folder of each source. Where there is none, episodes keep their task's instruction, or the
            substeps that the source itself says.
        cache: folder of the frames, built on first use.
        name: of the data set in ``dataset_statistics.json``.
        tokenizer: a ``tokenizer.json``; None trains one on the plans' texts.
        rules: how samples are cut.
        augmentation: of images; None for none.
        statistics: which actions and proprioception are normalised with: those of the data, or those that the initial
            checkpoint was trained with.
        action_bounds: what becomes −1 and 1: the data's 1st and 99th percentile, as published, beyond which actions are
            cut off; or the robot's "limits", so that no motion is cut off because it is rare.
            The L1 head of an initial checkpoint with other bounds is rescaled and says the same as before.
        paraphrase_probability: share of samples that get another wording of their substep.
        held_out_every: every n-th demonstration of a task in a collection is kept for calibration; 0 keeps none.
        skip_damaged: skip and count damaged demonstrations; False stops at the first. Where a damage leaves open which
            labels are whose (``EpisodeNumbers``), reading stops all the same.
        workers: processes that read or render frames when the cache is built; 0 does it in the training process.
    """

    sources: tuple[Source, ...]
    cache: Path
    robot: NamedRobot = Field(default_factory=partial(load_robot, LIBERO_PANDA))
    labels: Path | None = None
    name: str = "demonstrations"
    tokenizer: Path | None = None
    rules: SampleRules = SampleRules()
    augmentation: ImageAugmentation | None = Augmentation()
    statistics: Literal["data", "initial_checkpoint"] = "data"
    action_bounds: Literal["quantiles", "limits"] = "quantiles"
    paraphrase_probability: float = Field(default=0.5, ge=0, le=1)
    held_out_every: int = Field(default=10, ge=0)
    skip_damaged: bool = True
    workers: int = Field(default=1, ge=0)

    def __post_init__(self) -> None:
        if self.held_out_every == 1:
            raise ValueError(
                "held_out_every is 1, which leaves nothing to train on: expected 0, for none, or 2 and more"
            )


@configuration
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay of the learning rate.

    Attributes:
        final_rate: share of the learning rate that is left at the last step.
        gradient_accumulation: batches whose gradients make one step.
        max_grad_norm: gradients are clipped to it.
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


def _kind_name(model: Mapping[str, Any]) -> Any:
    """Which kind of model is meant, by ``model_type`` or ``backbone.type``; the compact one if neither is said."""
    backbone = model.get("backbone")
    return model.get("model_type") or (backbone.get("type") if isinstance(backbone, Mapping) else None) or "compact"


ModelField = registered(lambda name: MODEL_KINDS.load(name).config, _kind_name)


@configuration
class FinetuneConfig:
    """One training run.

    Attributes:
        out: run folder: checkpoints, TensorBoard curves, log.
        model: what is trained, of the kind that ``model_type`` or ``backbone.type`` names, for the robot of the data. A
            file need not say anything of it: all has defaults.
        objective: whether actions are taught, words for substeps, or both.
        keyframe_weight: of the loss that teaches the backbone where the end effector is on its way to
            (``training.data.keyframes``); 0 leaves it out, and must where the robot has no gripper or no end effector
            position.
        initial_checkpoint: weights to start from: a policy by name, such as "compact", a folder or a hub id such as
            "organisation/model"; None starts from random ones. A file that configures no model takes the checkpoint's.
            A compact model may have longer or shorter chunks than it: later actions begin as its last one.
        new_heads: decoder and EOS head begin at random though ``initial_checkpoint`` has some, so that heads of several
            kinds can be compared that all begin on the same backbone.
        initial_vision: a compact policy, by name, folder or hub id, from whose image network that of a π0.5 with a
            convolution starts; only where there is no initial_checkpoint.
        freeze_vision: the image network stays as it starts, and what it sees of the frames that are trained on is
            computed once and kept beside them; of the compact model, whose instructions are read as they were then
            too, and of a π0.5 with a convolution. Without augmentation, and told words without paraphrases.
        resume_from: a checkpoint of another run, any that is there, which this one goes on from with everything that
            resuming needs; ``out`` is a new folder, and the other run stays as it is. None starts at step 0. Once
            ``out`` has checkpoints of its own, the run goes on from the last of them.
        lora: train adapters on the large backbone's linear layers and keep the rest as it is; None trains all of it.
        gradient_checkpointing: compute activations of the large backbone again instead of keeping them.
        mixed_precision: "bf16" or "fp16" where the device has it.
        distribution_batches: batches sampled before training to print the EOS ratio; 0 skips that.
        save_every: steps between checkpoints; ``keep``: how many are kept, the last ones.
        validation_batches: held-out batches whose losses are measured at every checkpoint; 0 for none.
        log_every: steps between lines of the log and points of the curves.
        prefetch: batches prepared ahead.
    """

    out: Path
    data: DataConfig
    model: ModelField
    eos: EosTraining = DirectEos()
    objective: Mode = ActionsOnly()
    keyframe_weight: float = Field(default=0.0, ge=0)
    optimizer: OptimizerConfig = OptimizerConfig()
    steps: int = Field(default=20_000, ge=1)
    seed: int = Field(default=0, ge=0)
    initial_checkpoint: Path | None = None
    new_heads: bool = False
    initial_vision: str | None = None
    freeze_vision: bool = False
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
        if self.new_heads and self.initial_checkpoint is None:
            raise ValueError("new_heads is true, but there is no initial_checkpoint that could have old ones")
        if isinstance(self.objective, WordsOnly | WordsAndActionTokens) and (trains_head or self.keyframe_weight):
            raise ValueError(
                f"objective mode is {self.objective.mode!r}, which has no states of actions to learn EOS or keyframes "
                f"from: eos mode must be 'none' and is {self.eos.mode!r}, keyframe_weight 0 and is "
                f"{self.keyframe_weight}"
            )
        self._check_robot()
        self._check_render_sizes()
        if self.initial_vision is not None and self.initial_checkpoint is not None:
            raise ValueError(
                f"initial_vision is {self.initial_vision} and initial_checkpoint {self.initial_checkpoint}, which has "
                "a vision of its own: one of them"
            )
        model_training(self)  # refuses what its kind cannot do

    def _check_robot(self) -> None:
        robot = self.data.robot
        if why := vector_misfit(self.model.robot, robot):
            raise ValueError(f"model.robot learns from data.robot, and they do not fit: {why}")
        if self.keyframe_weight and not has_keyframes(robot):
            raise ValueError(f"keyframe_weight is {self.keyframe_weight}, and {keyframes_missing(robot)}: leave it 0")
        if self.data.rules.gripper_copies > 1 and robot.gripper is None:
            copies = self.data.rules.gripper_copies
            raise ValueError(f"data.rules.gripper_copies is {copies}, and {keyframes_missing(robot)}: leave it 1")

    def _check_render_sizes(self) -> None:
        """Raises: ValueError: frames would be rendered at another size than those that the policy will see."""
        for source in self.data.sources:
            size = getattr(source, "render_size", None)
            if size not in (None, self.model.render_size):
                raise ValueError(
                    f"data.sources render their frames at {size} pixels, and the model sees frames of "
                    f"{self.model.render_size}: set render_size of the source to {self.model.render_size}"
                )

    @property
    def initial_folder(self) -> Path | None:
        """Where ``initial_checkpoint`` lies here, downloaded if need be. Raises: PolicyError: it cannot be had."""
        return None if self.initial_checkpoint is None else POLICIES.folder(str(self.initial_checkpoint))

    def checkpoint_model(self) -> ModelConfiguration:
        """What a checkpoint says of the model: as configured, with the EOS threshold given or of the training mode.

        EOS is read from a head that is trained, where the model names no source.
        """
        if isinstance(self.eos, NoEosHead):
            return self.model
        source = EosSource.HEAD if self.model.eos.source is EosSource.NONE else self.model.eos.source
        threshold = self.eos.default_threshold if self.eos.threshold is None else self.eos.threshold
        eos = dataclasses.replace(self.model.eos, source=source, threshold=threshold, calibrated=False)
        return dataclasses.replace(self.model, eos=eos)


def read_config(path: Path, overrides: Sequence[str] = ()) -> FinetuneConfig:
    """A YAML file with ``key.subkey=value`` overrides.

    Raises:
        ValueError: the file is not YAML, or a key or value is wrong; the message names it.
        OSError: the file cannot be read.
    """
    content = override(value_of(path.read_text(encoding="utf-8"), str(path)), read_overrides(overrides))
    if isinstance(content, dict):
        content = {**content, "model": _model_content(content)}
    return parse(FinetuneConfig, content, f"{path}{' and overrides' if overrides else ''}")


def _model_content(content: dict[str, Any]) -> Any:
    """What a file says of the model: nothing: that of its checkpoint, or all defaults; no robot: that of the data."""
    if content.get("initial_checkpoint") and "model" not in content:
        return dump(_model_of(content["initial_checkpoint"]))
    model, data = content.get("model", {}), content.get("data")
    if not isinstance(model, dict) or "robot" in model:
        return model
    return {**model, "robot": data.get("robot", LIBERO_PANDA) if isinstance(data, dict) else LIBERO_PANDA}


def _model_of(checkpoint: str) -> ModelConfiguration:
    folder = POLICIES.folder(checkpoint)
    return kind_of(folder).read_config(folder)


def read_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """("a.b=3", "a.c=null") -> {"a": {"b": 3, "c": None}}; values are YAML."""
    content: dict[str, Any] = {}
    for text in overrides:
        keys, has_value, value = text.partition("=")
        *parents, last = keys.split(".")
        place = content
        for key in parents:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ValueError(f"{text} and another override set {key!r}: expected one of them")
        if not has_value or not keys:
            raise ValueError(f"override is {text!r}, expected key.subkey=value")
        place[last] = value_of(value, f"override {text}")
    return content


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

"""A policy's network: backbone, proprioception projector, action head and EOS head, described by one configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from substep_policy.backbones.compact import CompactBackbone, CompactConfig
from substep_policy.configuration import configuration
from substep_policy.eos import EosChoice, EosSource, check_eos_source
from substep_policy.heads import (
    ActionHeadConfig,
    ActionTargets,
    EOSClassificationHead,
    EOSHeadConfig,
    L1HeadConfig,
    build_action_head,
)
from substep_policy.normalization import GripperConvention
from substep_policy.preprocessing import PreprocessingConfig

DIRECT_EOS_THRESHOLD = 0.03


@configuration
class EosDetection:
    """How a checkpoint's EOS is read.

    Attributes:
        source: the EOS head, EOS among the action tokens, or none.
        threshold: EOS probability that ends a substep; None, for tokens only: EOS must be the likeliest token.
        choice: which EOS counts when a chunk has several.
        calibrated: the threshold was chosen on held-out demonstrations, and is no default.
    """

    source: EosSource = EosSource.HEAD
    threshold: float | None = DIRECT_EOS_THRESHOLD
    choice: EosChoice = EosChoice.FIRST
    calibrated: bool = False

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"EOS threshold is {self.threshold}, must be a probability from 0 to 1")
        if self.threshold is None and self.source is EosSource.HEAD:
            raise ValueError("the EOS head needs a threshold, a probability from 0 to 1")

    def at(self, threshold: float | None, owner: Path) -> EosDetection:
        """With another threshold where one is asked for.

        Raises:
            ValueError: ``owner``, the checkpoint folder, has no EOS that it could apply to.
        """
        if threshold is None:
            return self
        if self.source is EosSource.NONE:
            raise ValueError(f"eos_threshold is {threshold}, and {owner} has no eos_head to apply it to")
        return replace(self, threshold=threshold, calibrated=False)


@configuration
class ModelConfig:
    """Everything a checkpoint's ``config.json`` says about a compact model."""

    model_type: Literal["compact"] = "compact"
    chunk_length: int = 8
    backbone: CompactConfig = CompactConfig()
    action_head: ActionHeadConfig = L1HeadConfig()
    eos_head: EOSHeadConfig | None = EOSHeadConfig()
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    gripper: GripperConvention = GripperConvention.CLOSE_IS_ONE
    eos: EosDetection = EosDetection()

    def __post_init__(self) -> None:
        if self.chunk_length < 1:
            raise ValueError(f"chunk_length is {self.chunk_length}, must be at least 1")
        check_eos_source(self.eos.source, self.action_head.type, getattr(self.action_head, "use_substep_eos", False))
        if self.eos.source is EosSource.HEAD and self.eos_head is None:
            raise ValueError("eos source 'head' needs an eos_head, and there is none")


class ProprioProjector(nn.Module):
    """Normalised proprioception (B, N) -> one token (B, width), with the published checkpoints' module names."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.fc1, self.act_fn1, self.fc2 = nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width)

    def forward(self, proprio: Tensor) -> Tensor:
        return self.fc2(self.act_fn1(self.fc1(proprio)))


class SubstepModel(nn.Module):
    """Model inputs -> ``actions_hidden_states`` (B, C·A, D), with the heads that read them."""

    def __init__(
        self, backbone: nn.Module, proprio_projector: nn.Module, action_head: nn.Module, eos_head: nn.Module | None
    ) -> None:
        super().__init__()
        self.backbone, self.proprio_projector = backbone, proprio_projector
        self.action_head, self.eos_head = action_head, eos_head

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The backbone's inputs and ``proprio`` (B, N), normalised -> (B, C·A, D)."""
        return self.backbone(batch, self.proprio_projector(batch["proprio"]))

    def act(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Inputs as ``forward`` -> normalised actions (B, C, A) and ``actions_hidden_states`` (B, C·A, D)."""
        hidden = self(batch)
        return self.action_head.predict(hidden), hidden

    def action_loss(self, batch: Mapping[str, Tensor], targets: ActionTargets) -> tuple[Tensor, Tensor]:
        """Inputs as ``forward`` -> loss of the actions, and ``actions_hidden_states`` (B, C·A, D).

        The head runs in float32 whatever the backbone runs in.
        """
        hidden = self(batch)
        with torch.autocast(hidden.device.type, enabled=False):
            return self.action_head.loss(hidden.float(), targets), hidden

    @property
    def heads(self) -> dict[str, nn.Module]:
        """What a checkpoint keeps beside the backbone, by file name; an action head without weights is not kept."""
        parts = {"proprio_projector": self.proprio_projector, "action_head": self.action_head}
        if self.eos_head is not None:
            parts["eos_head"] = self.eos_head
        return {name: part for name, part in parts.items() if part.state_dict()}


def build_model(config: ModelConfig) -> SubstepModel:
    """The model of ``config`` with random weights."""
    preprocessing = config.preprocessing
    backbone = CompactBackbone(
        config.backbone,
        cameras=len(preprocessing.cameras),
        image_size=preprocessing.image_size,
        max_length=preprocessing.max_instruction_tokens,
        chunk_length=config.chunk_length,
    )
    width = backbone.hidden_dim
    return SubstepModel(
        backbone,
        ProprioProjector(preprocessing.proprio_encoding.width, backbone.proprio_token_dim),
        build_action_head(config.action_head, width, config.chunk_length),
        None if config.eos_head is None else EOSClassificationHead(config.eos_head, width),
    )

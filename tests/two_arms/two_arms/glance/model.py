"""Configuration and network. B batch, C chunk length, A action width, D hidden width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_core.contract import NamedRobot
from substep_policy.checkpoints.plain import PlainCheckpoints
from substep_policy.heads import ActionDecoderConfig, EOSHeadConfig
from substep_policy.models.model import EosDetection, SubstepModel, assemble, check_model
from substep_policy.models.normalization import GripperConvention
from two_arms.decoder import LineConfig


@configuration
class GlanceConfig:
    """``model: {model_type: glance}``; implements ``substep_policy.models.kind.ModelConfiguration``."""

    model_type: Literal["glance"] = "glance"
    robot: NamedRobot = Field(kw_only=True)
    cameras: tuple[str, ...] = ("overhead",)
    image_size: int = 32
    words: tuple[str, ...] = ("left", "right", "up", "down")
    width: int = 16
    chunk_length: int = 25
    action_head: ActionDecoderConfig = LineConfig()
    eos_head: EOSHeadConfig | None = EOSHeadConfig(hidden_dim=16)
    eos: EosDetection = EosDetection()
    gripper: GripperConvention = GripperConvention.CLOSE_IS_ONE

    vocabulary: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_model(self, takes_slot_content=False)

    @property
    def render_size(self) -> int:
        return self.image_size

    @property
    def proprio_widths(self) -> dict[str, int]:
        return {group.name: group.width for group in self.robot.state}


@dataclass(frozen=True)
class Glimpse:
    """What was seen, heard and felt, (B, D); implements ``substep_policy.heads.decoder.Prefix``."""

    features: Tensor

    @property
    def size(self) -> int:
        return len(self.features)

    @property
    def dtype(self) -> torch.dtype:
        return self.features.dtype

    @property
    def device(self) -> torch.device:
        return self.features.device


class GlanceBackbone(nn.Module):
    """Implements ``substep_policy.heads.decoder.Backbone``."""

    def __init__(self, config: GlanceConfig) -> None:
        super().__init__()
        self.hidden_dim = self.proprio_token_dim = config.width
        self.eye = nn.Conv2d(3 * len(config.cameras), config.width, kernel_size=8, stride=8)
        self.ear = nn.Linear(len(config.words), config.width)
        self.queries = nn.Parameter(torch.randn(config.chunk_length * config.robot.action_width, config.width))

    def encode(self, batch: Mapping[str, Tensor], proprio_token: Tensor) -> Glimpse:
        """``images`` (B, cameras, S, S, 3) uint8, ``words`` (B, words) 0 or 1."""
        pixels = batch["images"].movedim(-1, 2).flatten(1, 2) / 255
        return Glimpse(self.eye(pixels).mean((-1, -2)) + self.ear(batch["words"]) + proprio_token)

    def attend(self, prefix: Glimpse, content: None = None) -> Tensor:
        return torch.tanh(prefix.features.unsqueeze(1) + self.queries)


def build(config: GlanceConfig) -> SubstepModel:
    return assemble(config, GlanceBackbone(config))


CHECKPOINTS = PlainCheckpoints(GlanceConfig, build)

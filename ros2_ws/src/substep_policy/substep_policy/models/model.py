"""A policy's network: backbone, proprioception projector, action decoder and EOS head, whichever backbone it is."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_core.contract import RobotContract
from substep_policy.eos import EosChoice, EosSource
from substep_policy.heads import ActionDecoder, ActionTargets, DecoderShape, EOSClassificationHead, check_decoder
from substep_policy.heads.guidance import TARGET, WEIGHTS, Guidance, Guide

if TYPE_CHECKING:
    from substep_policy.models.kind import ModelConfiguration

log = logging.getLogger(__name__)

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
        """With another threshold where one is asked for. No EOS at all, or a default that nobody chose, is logged.

        Raises:
            ValueError: ``owner``, the checkpoint folder, has no EOS that it could apply to.
        """
        if threshold is None:
            if self.source is EosSource.NONE:
                log.warning(
                    "%s: the model has no EOS, so no substep ends by its word: let the planner look (switch_rule "
                    "vision), or each substep ends in a timeout",
                    owner,
                )
            elif self.threshold is not None and not self.calibrated:
                log.warning(
                    "%s: the EOS threshold %g is a default, nobody chose it for these weights: substeps may end too "
                    "early or late. Give eos_threshold, or calibrate it: ./substep checkpoint calibrate",
                    owner,
                    self.threshold,
                )
            return self
        if self.source is EosSource.NONE:
            raise ValueError(f"eos_threshold is {threshold}, and {owner} has no eos_head to apply it to")
        return replace(self, threshold=threshold, calibrated=False)


NO_EOS_DETECTION = EosDetection(source=EosSource.NONE, threshold=None)


def check_model(config: ModelConfiguration, takes_slot_content: bool) -> None:
    """What every kind's configuration has to keep to.

    Args:
        takes_slot_content: as of its backbone.

    Raises:
        ValueError: cameras that the robot does not have, or none; or heads that do not go with each other or the
            backbone.
    """
    check_decoder(config.action_head, config.eos.source, takes_slot_content)
    if config.eos.source is EosSource.HEAD and config.eos_head is None:
        raise ValueError("eos source 'head' needs an eos_head, and there is none")
    if config.chunk_length < 1:
        raise ValueError(f"chunk_length is {config.chunk_length}, must be at least 1")
    _check_cameras(config.cameras, config.robot)


def _check_cameras(cameras: Sequence[str], robot: RobotContract) -> None:
    """Raises: ValueError: there are none, or the robot lacks one."""
    if not cameras:
        raise ValueError(f"robot {robot.name} has no cameras, and the model needs at least one image")
    for name in cameras:
        robot.camera(name)


class ProprioProjector(nn.Module):
    """Normalised proprioception (B, N) -> one token (B, width), with the published checkpoints' module names."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.fc1, self.act_fn1, self.fc2 = nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width)

    def forward(self, proprio: Tensor) -> Tensor:
        return self.fc2(self.act_fn1(self.fc1(proprio)))


class SubstepModel(nn.Module):
    """Model inputs -> ``actions_hidden_states`` (B, C·A, D), and what is made of them."""

    def __init__(
        self, backbone: nn.Module, proprio_projector: nn.Module, decoder: ActionDecoder, eos_head: nn.Module | None
    ) -> None:
        super().__init__()
        self.backbone, self.proprio_projector, self.decoder = backbone, proprio_projector, decoder
        for name, part in decoder.parts.items():
            self.add_module(name, part)
        self.eos_head = eos_head

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The backbone's inputs and ``proprio`` (B, N), normalised -> (B, C·A, D) of a single pass."""
        return self.backbone.attend(self._encode(batch))

    def act(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Inputs as ``forward`` -> normalised actions (B, C, A) and ``actions_hidden_states`` (B, C·A, D)."""
        return self.decoder.decode(self.backbone, self._encode(batch))

    def act_guided(self, batch: Mapping[str, Tensor], guidance: Guidance) -> tuple[Tensor, Tensor]:
        """As ``act``, drawn to ``batch``'s own target (B, C, A) with weights (B, C), see ``heads.guidance``."""
        guide = Guide(guidance, batch[TARGET], batch[WEIGHTS])
        return self.decoder.decode_guided(self.backbone, self._encode(batch), guide)

    def action_loss(self, batch: Mapping[str, Tensor], targets: ActionTargets) -> tuple[Tensor, Tensor]:
        """Inputs as ``forward`` -> loss of the actions, and ``actions_hidden_states`` (B, C·A, D)."""
        return self.decoder.loss(self.backbone, self._encode(batch), targets)

    def _encode(self, batch: Mapping[str, Tensor]):
        return self.backbone.encode(batch, self.proprio_projector(batch["proprio"]))

    @property
    def heads(self) -> dict[str, nn.Module]:
        """What a checkpoint keeps beside the backbone, by file name; a part without weights is not kept."""
        parts = {"proprio_projector": self.proprio_projector, **self.decoder.parts}
        if self.eos_head is not None:
            parts["eos_head"] = self.eos_head
        return {name: part for name, part in parts.items() if part.state_dict()}


def assemble(config: ModelConfiguration, backbone: nn.Module) -> SubstepModel:
    """A backbone with the heads of ``config``, which have random weights."""
    width, action_dim = backbone.hidden_dim, config.robot.action_width
    logits = None if config.vocabulary is None else backbone.token_logits
    decoder = config.action_head.build(DecoderShape(width, config.chunk_length, action_dim, config.vocabulary, logits))
    eos_head = None if config.eos_head is None else EOSClassificationHead(config.eos_head, width, action_dim)
    proprio = ProprioProjector(sum(config.proprio_widths.values()), backbone.proprio_token_dim)
    return SubstepModel(backbone, proprio, decoder, eos_head)

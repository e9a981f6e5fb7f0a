"""OpenVLA-OFT with its heads: one configuration, one network for each kind of action head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from substep_policy.action_tokens import ActionTokenizer
from substep_policy.backbones.openvla.backbone import OpenVLABackbone, Prefix, SlotContent
from substep_policy.backbones.openvla.config import PUBLISHED, OpenVLAConfig
from substep_policy.configuration import configuration
from substep_policy.eos import EosSource, check_eos_source
from substep_policy.heads import (
    ActionTargets,
    EOSClassificationHead,
    EOSHeadConfig,
    InSequenceDiffusionConfig,
    L1HeadConfig,
    L1RegressionActionHead,
    LanguageModelActionHead,
    NoisePredictionHead,
    NoisyActionProjector,
)
from substep_policy.model import EosDetection, ProprioProjector, SubstepModel
from substep_policy.normalization import GripperConvention
from substep_policy.observation import PROPRIO_DIM


@configuration
class LanguageModelTokensConfig:
    """Actions as the last 256 ids of the language model's own vocabulary, EOS its ``</s>`` (T1 to T3).

    ``use_substep_eos``: as of ``DiscreteHeadConfig``.
    """

    type: Literal["tokens"] = "tokens"
    use_substep_eos: bool = True


OpenVLAHeadConfig = Annotated[
    L1HeadConfig | InSequenceDiffusionConfig | LanguageModelTokensConfig, Field(discriminator="type")
]
NO_EOS_DETECTION = EosDetection(source=EosSource.NONE, threshold=None)


@configuration
class OpenVLAModelConfig:
    """Everything a checkpoint's ``config.json`` says about an OpenVLA-OFT model."""

    model_type: Literal["openvla"] = "openvla"
    backbone: OpenVLAConfig = PUBLISHED
    action_head: OpenVLAHeadConfig = L1HeadConfig(hidden_dim=PUBLISHED.language_model.width)
    eos_head: EOSHeadConfig | None = None
    gripper: GripperConvention = GripperConvention.OPEN_IS_ONE
    eos: EosDetection = NO_EOS_DETECTION

    def __post_init__(self) -> None:
        check_eos_source(self.eos.source, self.action_head.type, getattr(self.action_head, "use_substep_eos", False))
        if self.eos.source is EosSource.HEAD and self.eos_head is None:
            raise ValueError("eos source 'head' needs an eos_head, and there is none")

    @property
    def chunk_length(self) -> int:
        return self.backbone.chunk_length

    @property
    def tokenizer(self) -> ActionTokenizer:
        """Of discrete actions. Raises: ValueError: the vocabulary has no room for them."""
        language_model = self.backbone.language_model
        text_tokens = language_model.vocabulary_size - language_model.padding_rows
        return ActionTokenizer(text_tokens, self.backbone.tokens.eos)


class DiffusionOpenVLA(SubstepModel):
    """The noisy actions go through the language model, once for every denoising step."""

    action_head: NoisePredictionHead

    def __init__(
        self,
        backbone: OpenVLABackbone,
        proprio_projector: nn.Module,
        action_head: NoisePredictionHead,
        eos_head: nn.Module | None,
    ) -> None:
        super().__init__(backbone, proprio_projector, action_head, eos_head)
        self.noisy_action_projector = NoisyActionProjector(backbone.hidden_dim)

    def act(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """As ``SubstepModel.act``; the hidden states are those of the last denoising step."""
        prefix = self.backbone.embed(batch, self.proprio_projector(batch["proprio"]))
        config = self.backbone.config
        # Kept in single precision or better whatever the model runs in: steps near pure noise divide by small numbers.
        dtype = torch.promote_types(prefix.text.dtype, torch.float32)
        shape = (len(prefix.text), config.chunk_length, self.action_head.action_dim)
        noisy = torch.randn(shape, dtype=dtype, device=prefix.text.device)
        for step in self.action_head.steps():
            hidden = self._attend(prefix, noisy, torch.full((len(noisy),), step.timestep, device=noisy.device))
            noisy = self.action_head.denoise(noisy, self.action_head.predict_noise(hidden).to(dtype), step)
        return noisy, hidden

    def action_loss(self, batch: Mapping[str, Tensor], targets: ActionTargets) -> tuple[Tensor, Tensor]:
        """As ``SubstepModel.action_loss``, of noise predicted at a timestep drawn at random."""
        prefix = self.backbone.embed(batch, self.proprio_projector(batch["proprio"]))
        noisy, noise, timestep = self.action_head.corrupt(targets.actions)
        hidden = self._attend(prefix, noisy, timestep)
        with torch.autocast(hidden.device.type, enabled=False):
            return self.action_head.noise_loss(hidden.float(), noise, targets), hidden

    def _attend(self, prefix: Prefix, noisy: Tensor, timestep: Tensor) -> Tensor:
        dtype = prefix.text.dtype
        time = self.action_head.time_embedding(timestep).to(dtype)
        return self.backbone.attend(prefix, SlotContent(self.noisy_action_projector(noisy.to(dtype)).to(dtype), time))

    @property
    def heads(self) -> dict[str, nn.Module]:
        return {**super().heads, "noisy_action_projector": self.noisy_action_projector}


def build_openvla(config: OpenVLAModelConfig) -> SubstepModel:
    """The model of ``config`` with random weights."""
    backbone = OpenVLABackbone(config.backbone)
    width = backbone.hidden_dim
    proprio = ProprioProjector(PROPRIO_DIM, width)
    eos = None if config.eos_head is None else EOSClassificationHead(config.eos_head, width)
    match config.action_head:
        case L1HeadConfig():
            return SubstepModel(backbone, proprio, L1RegressionActionHead(config.action_head, width), eos)
        case InSequenceDiffusionConfig():
            return DiffusionOpenVLA(backbone, proprio, NoisePredictionHead(config.action_head, width), eos)
        case LanguageModelTokensConfig():
            head = LanguageModelActionHead(config.tokenizer, config.action_head.use_substep_eos, backbone.token_logits)
            return SubstepModel(backbone, proprio, head, eos)
    raise TypeError(f"{type(config.action_head).__name__} is not the configuration of an action head")

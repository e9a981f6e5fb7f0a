"""OpenVLA-OFT with its heads: one configuration, and the network that it describes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from substep_core.configuration import configuration
from substep_core.contract import NamedRobot
from substep_policy.heads import ActionDecoderConfig, EOSHeadConfig, L1HeadConfig
from substep_policy.heads.decoder import Vocabulary
from substep_policy.models.model import NO_EOS_DETECTION, EosDetection, SubstepModel, assemble, check_model
from substep_policy.models.normalization import GripperConvention
from substep_policy.models.openvla.backbone import OpenVLABackbone
from substep_policy.models.openvla.config import PUBLISHED, OpenVLAConfig

RENDER_SIZE = 256


@configuration
class OpenVLAModelConfig:
    """Everything a checkpoint's ``config.json`` says about an OpenVLA-OFT model.

    Attributes:
        robot: whose data it learned from: its vectors have the groups of this contract, in their order.
        skills: that it was taught, by the words that substeps begin with; empty: it is not known.
    """

    model_type: Literal["openvla"] = "openvla"
    robot: NamedRobot = Field(kw_only=True)
    backbone: OpenVLAConfig = PUBLISHED
    action_head: ActionDecoderConfig = L1HeadConfig(hidden_dim=PUBLISHED.language_model.width)
    eos_head: EOSHeadConfig | None = None
    gripper: GripperConvention = GripperConvention.OPEN_IS_ONE
    eos: EosDetection = NO_EOS_DETECTION
    skills: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_model(self, takes_slot_content=True)

    @property
    def cameras(self) -> tuple[str, ...]:
        """In the order in which their patches enter the sequence."""
        return self.backbone.cameras or self.robot.camera_names

    @property
    def patches(self) -> int:
        """Patches of all images of one observation."""
        return (self.backbone.image_size // self.backbone.patch_size) ** 2 * len(self.cameras)

    @property
    def action_slots(self) -> int:
        """C·A: positions of the sequence that stand for a chunk."""
        return self.chunk_length * self.robot.action_width

    @property
    def render_size(self) -> int:
        """As its published training data: they are made smaller afterwards."""
        return RENDER_SIZE

    @property
    def proprio_widths(self) -> dict[str, int]:
        """State group -> values that the model takes of it: all, as they are."""
        return {group.name: group.width for group in self.robot.state}

    @property
    def chunk_length(self) -> int:
        return self.backbone.chunk_length

    @property
    def vocabulary(self) -> Vocabulary:
        """Llama's."""
        language_model = self.backbone.language_model
        return Vocabulary(language_model.vocabulary_size - language_model.padding_rows, self.backbone.tokens.eos)


def build_openvla(config: OpenVLAModelConfig) -> SubstepModel:
    """The model of ``config`` with random weights."""
    return assemble(config, OpenVLABackbone(config.backbone, config.action_slots))

"""The compact model: one configuration, and the network that it describes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from substep_core.configuration import configuration
from substep_core.contract import NamedRobot
from substep_policy.heads import ActionDecoderConfig, EOSHeadConfig, L1HeadConfig
from substep_policy.heads.decoder import Vocabulary
from substep_policy.models.compact.backbone import CompactBackbone, CompactConfig
from substep_policy.models.compact.preprocessing import PreprocessingConfig
from substep_policy.models.model import EosDetection, SubstepModel, assemble, check_model
from substep_policy.models.normalization import GripperConvention
from substep_policy.models.sizes import Actions


@configuration
class CompactModelConfig:
    """Everything a checkpoint's ``config.json`` says about a compact model.

    Attributes:
        robot: whose data it learned from: its vectors have the groups of this contract, in their order.
        skills: that it was taught, by the words that substeps begin with; empty: it is not known.
    """

    model_type: Literal["compact"] = "compact"
    robot: NamedRobot = Field(kw_only=True)
    chunk_length: Actions = 8
    backbone: CompactConfig = CompactConfig()
    action_head: ActionDecoderConfig = L1HeadConfig()
    eos_head: EOSHeadConfig | None = EOSHeadConfig()
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    gripper: GripperConvention = GripperConvention.CLOSE_IS_ONE
    eos: EosDetection = EosDetection()
    skills: tuple[str, ...] = ()

    vocabulary: ClassVar[Vocabulary | None] = None  # its backbone is no language model

    def __post_init__(self) -> None:
        check_model(self, takes_slot_content=False)

    @property
    def cameras(self) -> tuple[str, ...]:
        """In the order in which the model takes them."""
        return self.preprocessing.cameras or self.robot.camera_names

    @property
    def render_size(self) -> int:
        """As large as it takes them."""
        return self.preprocessing.image_size

    @property
    def proprio_widths(self) -> dict[str, int]:
        """State group -> values that the model takes of it."""
        return self.preprocessing.proprio_encoding.widths(self.robot)


def build_compact(config: CompactModelConfig) -> SubstepModel:
    """The model of ``config`` with random weights."""
    backbone = CompactBackbone(
        config.backbone,
        cameras=len(config.cameras),
        image_size=config.preprocessing.image_size,
        max_length=config.preprocessing.max_instruction_tokens,
        chunk_length=config.chunk_length,
        action_dim=config.robot.action_width,
    )
    return assemble(config, backbone)

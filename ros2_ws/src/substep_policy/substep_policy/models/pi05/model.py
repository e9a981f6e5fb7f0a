"""π0.5 with its heads: one configuration, and the network that it describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from substep_core.configuration import configuration, registered
from substep_core.contract import NamedRobot
from substep_policy.heads import EOSClassificationHead, EOSHeadConfig
from substep_policy.heads.answer_loss import answer_loss
from substep_policy.heads.decoder import ACTION_DECODERS, ActionDecoder, DecoderShape, Vocabulary
from substep_policy.heads.fast_tokens import FastTokensConfig
from substep_policy.heads.targets import ActionTargets
from substep_policy.models.model import NO_EOS_DETECTION, EosDetection, SubstepModel, check_model
from substep_policy.models.normalization import GripperConvention
from substep_policy.models.pi05.backbone import Pi05Backbone, Pi05Prefix, PromptTokens
from substep_policy.models.pi05.config import PUBLISHED, Conditioning, Pi05Config
from substep_policy.models.pi05.flow_matching import FlowMatchingConfig

FLOW_MATCHING = FlowMatchingConfig().type
TASK = "task_"  # before the names of inputs of the high level
TOKENS_PER_ACTION = 1  # of the expert's sequence


def _action_head(name: str) -> type:
    """The expert's own head is nobody else's, so no registry has it."""
    return FlowMatchingConfig if name == FLOW_MATCHING else ACTION_DECODERS.load(name)


ActionHead = registered(_action_head, lambda data: data.get("type", FLOW_MATCHING))


@configuration
class Pi05ModelConfig:
    """Everything a checkpoint says about a π0.5 model.

    Attributes:
        robot: whose data it learned from: its vectors have the groups of this contract, in their order.
        skills: that it was taught, by the words that substeps begin with; empty: it is not known.
        action_head: flow matching by the expert, or FAST tokens that the language model says.
        played: actions of a chunk that are played, the rest is dropped; 0: all.
    """

    model_type: Literal["pi05"] = "pi05"
    robot: NamedRobot = Field(kw_only=True)
    backbone: Pi05Config = PUBLISHED
    action_head: ActionHead = FlowMatchingConfig()
    eos_head: EOSHeadConfig | None = None
    gripper: GripperConvention = GripperConvention.CLOSE_IS_ONE
    eos: EosDetection = NO_EOS_DETECTION
    played: int = Field(default=0, ge=0)
    skills: tuple[str, ...] = ()

    vocabulary: ClassVar[Vocabulary | None] = None  # no action stands among the words

    def __post_init__(self) -> None:
        head = self.action_head
        if not isinstance(head, FlowMatchingConfig | FastTokensConfig):
            raise ValueError(f"action head is {head.type!r}, a π0.5 acts by {FLOW_MATCHING!r} or 'fast'")
        check_model(self, takes_slot_content=True)
        if isinstance(head, FlowMatchingConfig) and (values := self.robot.action_width) > head.width:
            raise ValueError(f"actions have {values} values, action_head.width is {head.width}")
        if self.played > self.chunk_length:
            raise ValueError(f"played is {self.played}, a chunk has {self.chunk_length} actions")
        if (padded := self.backbone.prompt.padded_state) and padded < self.robot.state_width:
            raise ValueError(f"prompt.padded_state is {padded}, robot {self.robot.name} has {self.robot.state_width}")

    @property
    def cameras(self) -> tuple[str, ...]:
        """In the order in which their patches enter the sequence."""
        return self.backbone.cameras or self.robot.camera_names

    @property
    def render_size(self) -> int:
        return self.backbone.render_size

    @property
    def proprio_widths(self) -> dict[str, int]:
        """State group -> values that the model takes of it: all, as they are."""
        return {group.name: group.width for group in self.robot.state}

    @property
    def chunk_length(self) -> int:
        return self.backbone.chunk_length

    @property
    def horizon(self) -> int:
        """Actions that the policy gives at a time."""
        return self.played or self.chunk_length


class Pi05Model(SubstepModel):
    """π0.5: chunks, and words for the next substep. Proprioception is in the prompt.

    Inputs as ``Pi05Backbone.encode``. Those of the high level have the names with ``task_`` before them; a model whose
    expert is conditioned jointly has one prompt for both, with the plain names. ``answer_counts`` (B,) bool: whose
    answer is taught; ``task_image_features``, where they are in a batch, are of those samples alone.
    """

    def __init__(self, config: Pi05ModelConfig) -> None:
        backbone = Pi05Backbone(config.backbone, len(config.cameras))
        vocabulary = Vocabulary(config.backbone.vocabulary_size, config.backbone.tokens.eos)
        width, logits = config.robot.action_width, backbone.token_logits
        # Tokens are said by the language model, and the end of a substep is read where its states are.
        speaker = config.backbone.expert if config.action_head.fills_slots else config.backbone.language_model
        shape = DecoderShape(speaker.width, config.chunk_length, width, vocabulary, logits, says_tokens=True)
        head = config.eos_head
        eos_head = None if head is None else EOSClassificationHead(head, speaker.width, TOKENS_PER_ACTION)
        super().__init__(backbone, nn.Identity(), config.action_head.build(shape), eos_head)
        self.is_joint = config.backbone.conditioning is Conditioning.JOINT
        # Tokens are the language model's own words: their loss is meant for it.
        self.is_insulated = config.backbone.knowledge_insulation and config.action_head.fills_slots
        self._shape = shape

    def action_loss(self, batch: Mapping[str, Tensor], targets: ActionTargets) -> tuple[Tensor, Tensor]:
        """-> loss of the actions, and the expert's hidden states (B, C, D)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_insulated):
            prefix = self._encode(batch)
        return self.decoder.loss(self.backbone, prefix, targets)

    def text_loss(self, batch: Mapping[str, Tensor], over_padding: bool = False) -> Tensor:
        """Loss of the words for the substep, see ``answer_loss``."""
        patches = None if self._looks_twice else self.backbone.look(batch)
        return self._text_loss(batch, patches, over_padding)

    def words_right(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(B,) bool: asked for the next substep, the model says exactly the words that are taught.

        The likeliest token is the right one at every place of the true answer just where it is so said token by token.
        """
        words = PromptTokens.of(batch, self._asked)
        prefix = self.backbone.read(self.backbone.look(batch, TASK if self._looks_twice else ""), words)
        logits, ids, counts = self.backbone.answer_logits(prefix, words)
        return ((logits.argmax(dim=-1) == ids) | ~counts).all(dim=1)

    def losses(
        self, batch: Mapping[str, Tensor], targets: ActionTargets, over_padding: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Both -> loss of the words, loss of the actions, hidden states (B, C, D). Images are looked at once."""
        return self._losses(batch, targets, over_padding, self.decoder, self.is_insulated)

    def token_decoder(self, config: FastTokensConfig) -> ActionDecoder:
        """One that says actions as tokens, beside the model's own. Raises: ValueError: it does not fit."""
        return config.build(self._shape)

    def token_losses(
        self, batch: Mapping[str, Tensor], targets: ActionTargets, decoder: ActionDecoder, over_padding: bool = False
    ) -> tuple[Tensor, Tensor]:
        """As ``losses``, the actions as tokens that vision and language learn to say; the expert is left alone."""
        return self._losses(batch, targets, over_padding, decoder, False)[:2]

    def _losses(
        self,
        batch: Mapping[str, Tensor],
        targets: ActionTargets,
        over_padding: bool,
        decoder: ActionDecoder,
        is_insulated: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        patches = self.backbone.look(batch)
        if self.is_joint:
            words = PromptTokens.of(batch)
            prefix = self.backbone.read(patches, words)
            text = self._answer_loss(prefix, words, batch["answer_counts"], over_padding)
        else:
            text = self._text_loss(batch, patches, over_padding)
            with torch.set_grad_enabled(torch.is_grad_enabled() and not is_insulated):
                prefix = self.backbone.read(patches, PromptTokens.of(batch))
        if is_insulated:
            prefix = prefix.detached()
        return text, *decoder.loss(self.backbone, prefix, targets)

    @property
    def _asked(self) -> str:
        """Before the names of the high-level prompt with its answer."""
        return "" if self.is_joint else TASK

    @property
    def _looks_twice(self) -> bool:
        """At the images, told the substep to act and the task to name the next."""
        return self.backbone.vision_tower.is_told_words

    def _text_loss(self, batch: Mapping[str, Tensor], patches: Tensor | None, over_padding: bool) -> Tensor:
        """Of the samples whose answer is taught, which alone are read. Args: patches: of all that is looked at once."""
        is_taught = batch["answer_counts"]
        if not is_taught.any():
            return self._no_text_loss()
        words = PromptTokens.of(batch, self._asked).among(is_taught)
        prefix = self.backbone.read(self._taught_patches(batch, patches, is_taught), words)
        text = self._answer_loss(prefix, words, is_taught[is_taught], over_padding)
        return text * is_taught.float().mean() if over_padding else text  # the others' places are padding too

    def _no_text_loss(self) -> Tensor:
        """Zero, and still of the graph: a step in which no words are taught can go backward too."""
        learning = [weight for weight in self.backbone.language_model.parameters() if weight.requires_grad]
        if not learning:
            return torch.zeros((), device=next(self.parameters()).device)
        return 0.0 * min(learning, key=Tensor.numel).float().sum()

    def _taught_patches(self, batch: Mapping[str, Tensor], patches: Tensor | None, is_taught: Tensor) -> Tensor:
        if patches is not None and not self._looks_twice:
            return patches[is_taught]
        if f"{TASK}image_features" in batch:
            return self.backbone.look(batch, TASK)
        names = ("pixel_values", f"{TASK}told_ids", f"{TASK}told_mask")
        return self.backbone.look({name: batch[name][is_taught] for name in names}, TASK)

    def _answer_loss(self, prefix: Pi05Prefix, words: PromptTokens, is_taught: Tensor, over_padding: bool) -> Tensor:
        logits, ids, counts = self.backbone.answer_logits(prefix, words)
        with torch.autocast(logits.device.type, enabled=False):
            return answer_loss(logits.float(), ids, counts & is_taught.unsqueeze(1), over_padding)

    def _encode(self, batch: Mapping[str, Tensor]) -> Pi05Prefix:
        return self.backbone.encode(batch)

    @property
    def heads(self) -> dict[str, nn.Module]:
        """What a checkpoint keeps in files of its own: all but this is in the published file."""
        return {} if self.eos_head is None else {"eos_head": self.eos_head}


def build_pi05(config: Pi05ModelConfig) -> Pi05Model:
    """The model of ``config`` with random weights."""
    return Pi05Model(config)

"""Action decoders: how a backbone's hidden states become chunks. Shapes: B batch, C chunk length, A action dimension.

A package adds a decoder with an entry point in ``substep.action_decoders``, named as the ``type`` that ``action_head``
of a model's configuration has: the class that this configuration is read into (``DecoderConfig``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from substep_core.configuration import registered
from substep_core.registry import Registry
from substep_policy.eos import EosConfigurationError, EosSource
from substep_policy.heads.guidance import Guide
from substep_policy.heads.targets import ActionTargets
from substep_policy.models.normalization import ActionNormalizer, Statistics

ACTION_HEAD = "action_head"  # file name of a decoder's main network


@dataclass(frozen=True)
class SlotContent:
    """What a decoder puts into the sequence for one pass of the backbone.

    Attributes:
        actions: (B, slots, D) embeddings: one slot a value, or one slot an action where the backbone has an expert.
        time: (B, D) of the denoising step: one more token, or what an expert's norms depend on.
    """

    actions: Tensor
    time: Tensor


class Prefix(Protocol):
    """A batch as far as a backbone has read it before it comes to the actions. Passes share it."""

    size: int  # B
    dtype: torch.dtype
    device: torch.device


class Backbone(Protocol):
    """What decoders run, as often as they need to."""

    hidden_dim: int  # D

    def attend(self, prefix: Prefix, content: SlotContent | None = None) -> Tensor:
        """One pass -> ``actions_hidden_states`` (B, C·A, D).

        Args:
            content: of the action slots; None leaves them empty, as backbones that take none always do.
        """


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a backbone that is a language model; ``size``: how many stand for text."""

    size: int
    eos_token_id: int


@dataclass(frozen=True)
class DecoderShape:
    """What a decoder is built for.

    Attributes:
        hidden_dim: D of the hidden states.
        vocabulary, token_logits: of a backbone that is a language model: hidden states (B, C·A, D) -> (B, C·A, V).
        says_tokens: it can go on after a prefix, token by token (``fast_tokens.SpeakingBackbone``).
    """

    hidden_dim: int
    chunk_length: int
    action_dim: int
    vocabulary: Vocabulary | None = None
    token_logits: Callable[[Tensor], Tensor] | None = None
    says_tokens: bool = False


class EosVocabulary(Protocol):
    """Tokens with EOS among them."""

    eos_token_id: int
    vocabulary_size: int


class ActionDecoder(ABC):
    """Makes normalised actions of what a backbone has read. No module itself: the model holds its ``parts``."""

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """Its networks, by the names that their files have in a checkpoint."""

    @abstractmethod
    def decode(self, backbone: Backbone, prefix: Prefix) -> tuple[Tensor, Tensor]:
        """-> normalised actions (B, C, A), and the hidden states (B, C·A, D) that EOS is read from."""

    @property
    def draws(self) -> bool:
        """Something of its actions is drawn at random; one that does not say otherwise counts as drawing."""
        return True

    @property
    def can_be_guided(self) -> bool:
        """It walks from noise to actions, so that it can be drawn to what is left of the last chunk."""
        return False

    def decode_guided(self, backbone: Backbone, prefix: Prefix, guide: Guide) -> tuple[Tensor, Tensor]:
        """As ``decode``, drawn to what ``guide`` says, of a decoder that can be."""
        raise TypeError(f"{type(self).__name__} cannot be guided")

    @abstractmethod
    def loss(self, backbone: Backbone, prefix: Prefix, targets: ActionTargets) -> tuple[Tensor, Tensor]:
        """-> loss of the actions, in float32 whatever the backbone runs in, and hidden states as ``decode``."""

    @property
    def tokenizer(self) -> EosVocabulary:
        """Of a decoder that offers EOS as a token."""
        raise TypeError(f"{type(self).__name__} emits no tokens")

    @property
    def tokens_per_action(self) -> int:
        """N, of a decoder that offers EOS as a token."""
        raise TypeError(f"{type(self).__name__} emits no tokens")

    def token_logits(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C·N, V), of a decoder that offers EOS as a token."""
        raise TypeError(f"{type(self).__name__} emits no tokens")

    def begin(self) -> None:  # noqa: B027 - most have nothing to fill
        """Fill parts that were trained beforehand, of a decoder whose weights are not those of a checkpoint.

        Raises:
            CheckpointError: they cannot be had.
        """

    def check_actions(self, normalizer: ActionNormalizer) -> None:  # noqa: B027 - most have nothing to check
        """Whether its normalised actions are this normaliser's, as far as a part was trained beforehand.

        Raises:
            ValueError: they are not.
        """

    def scores(self, hidden: Tensor, targets: ActionTargets) -> dict[str, Tensor]:
        """What else is measured on held-out samples beside the loss, by name. Args: hidden: as ``decode`` gives it."""
        return {}

    def rescale(self, before: Statistics, after: Statistics) -> None:
        """Predict the same motions, normalised with ``after`` instead of ``before``.

        Raises:
            ValueError: the decoder cannot.
        """
        raise ValueError(f"a {type(self).__name__} cannot be rescaled")


class OnePassDecoder(ActionDecoder):
    """Reads the actions off the hidden states of one pass.

    Args:
        head: with ``predict(hidden) -> (B, C, A)`` and ``loss(hidden, ActionTargets) -> scalar``.
    """

    def __init__(self, head: nn.Module) -> None:
        self.head = head

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {ACTION_HEAD: self.head}

    def decode(self, backbone: Backbone, prefix: Prefix) -> tuple[Tensor, Tensor]:
        hidden = backbone.attend(prefix)
        return self.head.predict(hidden), hidden

    def loss(self, backbone: Backbone, prefix: Prefix, targets: ActionTargets) -> tuple[Tensor, Tensor]:
        hidden = backbone.attend(prefix)
        with torch.autocast(hidden.device.type, enabled=False):
            return self.head.loss(hidden.float(), targets), hidden


class DecoderConfig(Protocol):
    """The configuration of an action decoder; ``type`` is its name in the registry.

    Attributes:
        fills_slots: it puts ``SlotContent`` into the sequence.
    """

    type: str
    fills_slots: ClassVar[bool]

    @property
    def eos_sources(self) -> frozenset[EosSource]:
        """Where EOS can be read from."""

    def tokenizer(self, vocabulary: Vocabulary | None) -> EosVocabulary:
        """Of a decoder that offers EOS as a token. Args: vocabulary: as of ``DecoderShape``."""

    def build(self, shape: DecoderShape) -> ActionDecoder:
        """The decoder with random weights."""


CONTINUOUS = frozenset({EosSource.NONE, EosSource.HEAD})  # EOS sources of a decoder without tokens
ACTION_DECODERS: Registry[type] = Registry("action decoder", "substep.action_decoders")
ActionDecoderConfig = registered(ACTION_DECODERS.load, lambda data: data.get("type"))


def check_decoder(config: DecoderConfig, source: EosSource, takes_slot_content: bool) -> None:
    """Whether a decoder goes with a model's EOS source and backbone.

    Raises:
        EosConfigurationError: it does not offer EOS there.
        ValueError: the backbone cannot run what the decoder puts into the sequence.
    """
    if source not in config.eos_sources:
        raise EosConfigurationError(
            f"eos source is {source.value!r}, and action head {config.type!r} offers only "
            f"{', '.join(sorted(config.eos_sources))}: EOS as a token needs a head that emits tokens and is trained to "
            "say it, as 'tokens' with use_substep_eos is"
        )
    if config.fills_slots and not takes_slot_content:
        raise ValueError(
            f"action head {config.type!r} runs actions through the backbone, which takes none: expected another head"
        )

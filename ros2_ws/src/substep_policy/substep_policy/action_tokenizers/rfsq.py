"""Chunks as residual codes: an autoencoder whose latents are quantised (RFSQ).

Chunk (C, A) ↔ latents (C, H) ↔ codes (C, H, layers). Both halves are causal in time: codes and actions up to a timestep
do not depend on what comes after it. So a chunk may be cut at the end of a substep, and what stands behind it is free.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.nn import functional

from substep_core.configuration import configuration
from substep_core.contract import ActionQuantity
from substep_policy.action_tokenizers.folder import WEIGHTS_FILE, Reconstruction, read_config
from substep_policy.action_tokenizers.residual_quantizer import ResidualQuantizer
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.checkpoints.folder import CheckpointError, load_state
from substep_policy.models.fixed import FixedModule
from substep_policy.models.sizes import Actions, Width


@configuration
class RfsqNetwork:
    """Sizes.

    Attributes:
        layers, levels: of the quantiser.
        latents: H, scalars a timestep that are quantised.
        width: of the hidden layers of encoder and decoder.
        context: timesteps that one of them looks at: its own and those before it.
    """

    layers: int = Field(default=8, ge=1, le=16)
    levels: int = Field(default=7, ge=2, le=2**16)
    latents: Width = 16
    width: Width = 128
    context: Actions = 4


@configuration
class RfsqConfig:
    """A fitted tokenizer.

    Attributes:
        space: the actions that it was fitted to.
        rest: rotations whose normalised values are all nearer to none than this are decoded as none; exactly so where
            bounds are symmetric, as the robot's limits. A controller may hold an orientation while no rotation is
            commanded, and let it drift with the least one (robosuite's operational space control does).
        folder: where it was read from, and its weights are for a head that is yet to be trained. A trained head's
            checkpoint has them itself.
    """

    type: Literal["rfsq"] = "rfsq"
    space: ActionSpace = Field(kw_only=True)
    network: RfsqNetwork = RfsqNetwork()
    rest: float = Field(default=0.0, ge=0, le=1)
    folder: Path | None = None

    @property
    def quantizer(self) -> ResidualQuantizer:
        return ResidualQuantizer(self.network.layers, self.network.levels)


def _named(value: Any) -> Any:
    """The configuration in a tokenizer's folder. Raises: ValueError: it is none, or of another type."""
    if not isinstance(value, (str, Path)):
        return value
    folder = Path(value).expanduser()
    content = read_config(folder)
    if content.get("type") != "rfsq":
        raise ValueError(f"{folder} holds an action tokenizer of type {content.get('type')!r}, expected 'rfsq'")
    return {**content, "folder": str(folder)}


NamedRfsq = Annotated[RfsqConfig, BeforeValidator(_named)]  # of a configuration: a fitted one's, or its folder


class CausalLayer(nn.Module):
    """(B, C, inputs) -> (B, C, outputs), linear in each timestep and the ``context − 1`` before it."""

    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__()
        self.context = context
        self.linear = nn.Linear(inputs * context, outputs)

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (0, 0, self.context - 1, 0))
        return self.linear(padded.unfold(1, self.context, 1).flatten(2))


class CausalCoder(nn.Module):
    """(B, C, inputs) -> (B, C, outputs): a linear map and what a network adds to it."""

    def __init__(self, inputs: int, outputs: int, network: RfsqNetwork) -> None:
        super().__init__()
        self.direct = CausalLayer(inputs, outputs, network.context)
        self.network = nn.Sequential(
            CausalLayer(inputs, network.width, network.context),
            nn.GELU(),
            nn.Linear(network.width, network.width),
            nn.GELU(),
            nn.Linear(network.width, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.direct(x) + self.network(x)


class RfsqTokenizer(FixedModule):
    """Normalised chunks (B, C, A) ↔ codes (B, C, H, layers)."""

    def __init__(self, config: RfsqConfig) -> None:
        """With random weights."""
        super().__init__()
        self.config, self.quantizer = config, config.quantizer
        self.encoder = CausalCoder(config.space.width, config.network.latents, config.network)
        self.decoder = CausalCoder(config.network.latents, config.space.width, config.network)
        robot = config.space.robot
        self._none = config.space.normalizer.encode(np.zeros(robot.action_width, np.float32))
        self._rotations = [
            robot.action_slice(group) for group in robot.action if group.quantity is ActionQuantity.DELTA_ROTATION
        ]

    @classmethod
    def load(cls, config: RfsqConfig) -> RfsqTokenizer:
        """The fitted one of ``config.folder``, fixed.

        Raises:
            CheckpointError: there is no such folder, or its weights are missing or do not fit.
        """
        tokenizer = cls(config)
        tokenizer.fill()
        tokenizer.fix()
        return tokenizer

    @property
    def space(self) -> ActionSpace:
        return self.config.space

    @property
    def finenesses(self) -> int:
        """A chunk can be decoded from any number of its layers."""
        return self.config.network.layers

    @torch.no_grad()
    def reconstruct(self, actions: np.ndarray, fineness: int) -> Reconstruction:
        """See ``ChunkTokenizer``: from the first ``fineness`` layers."""
        network = self.config.network
        codes = self.encode(torch.from_numpy(actions))[..., :fineness]
        bits = self.space.chunk_length * network.latents * fineness * math.log2(network.levels)
        return Reconstruction(f"rfsq, {fineness} layers", bits, self.decode(codes).numpy())

    def fill(self) -> None:
        """Take the weights of ``config.folder``. Raises: CheckpointError: as ``load``."""
        if self.config.folder is None:
            raise CheckpointError("the action tokenizer names no folder to take its weights from: give one")
        load_state(self, self.config.folder / WEIGHTS_FILE)

    def latents(self, actions: Tensor) -> Tensor:
        """(B, C, A) -> (B, C, H) in [−1, 1]."""
        return self.encoder(actions).clamp(-1, 1)

    def actions(self, latents: Tensor) -> Tensor:
        """(B, C, H) -> (B, C, A)."""
        return self.decoder(latents)

    def encode(self, actions: Tensor) -> Tensor:
        """(B, C, A) -> int64 codes (B, C, H, layers).

        Raises:
            ValueError: a chunk of another shape.
        """
        space = self.config.space
        if actions.shape[-2:] != (space.chunk_length, space.width):
            raise ValueError(
                f"actions have shape {tuple(actions.shape)}, expected (B, {space.chunk_length}, {space.width})"
            )
        return self.quantizer.encode(self.latents(actions.float()))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, C, H, k) of the first k layers -> (B, C, A) float32.

        Raises:
            ValueError: a code is none, or codes of another shape.
        """
        space, latents = self.config.space, self.config.network.latents
        if codes.ndim != 4 or codes.shape[1:3] != (space.chunk_length, latents):
            raise ValueError(f"codes have shape {tuple(codes.shape)}, expected (B, {space.chunk_length}, {latents}, k)")
        return self._with_rest(self.actions(self.quantizer.decode(codes).float()))

    def _with_rest(self, actions: Tensor) -> Tensor:
        """See ``RfsqConfig.rest``."""
        if not self.config.rest:
            return actions
        none, rested = torch.from_numpy(self._none).to(actions), actions.clone()
        for place in self._rotations:
            is_none = ((actions[..., place] - none[place]).abs() < self.config.rest).all(-1, keepdim=True)
            rested[..., place] = torch.where(is_none, none[place], actions[..., place])
        return rested

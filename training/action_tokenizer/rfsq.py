"""Trains an RFSQ tokenizer: an autoencoder that may be decoded from any number of its layers of codes.

A step is a function of weights, optimizer and its number alone, so a run that is stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from tqdm import tqdm

from substep_core.configuration import configuration, dump
from substep_core.contract import motion_values
from substep_policy.action_tokenizers.folder import CONFIG_FILE, WEIGHTS_FILE
from substep_policy.action_tokenizers.rfsq import RfsqConfig, RfsqNetwork, RfsqTokenizer
from substep_policy.checkpoints.folder import save_tensors
from training.action_tokenizer.chunks import ActionChunks
from training.train.config import OptimizerConfig
from training.train.finetune_substep import learning_rate, set_learning_rate
from training.whole_file import whole_file, write_whole

STATE_FILE = "training_state.pt"
FINEST = 0.003  # normalised units: below it errors of chunks decoded from few and from many layers count alike


@configuration
class RfsqFitting:
    """Implements ``training.action_tokenizer.command.Fitting``.

    Attributes:
        optimizer: AdamW as for policies.
        stirred: share of chunks whose motions are moved at random, so that motions that no demonstration has come back
            too.
        rest: of the tokenizer, see ``RfsqConfig``; 0.005 of LIBERO's commands are 0.14° a step.
        save_every: steps between states that a stopped run goes on from.
    """

    type: Literal["rfsq"] = "rfsq"
    network: RfsqNetwork = RfsqNetwork()
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=2e-3, final_rate=0.005, weight_decay=0.0, warmup_steps=100, batch_size=256
    )
    stirred: float = Field(default=0.5, ge=0, le=1)
    rest: float = Field(default=0.005, ge=0, le=1)
    steps: int = Field(default=6000, ge=1)
    seed: int = Field(default=0, ge=0)
    save_every: int = Field(default=1000, ge=1)

    def fit(self, chunks: ActionChunks, out: Path) -> None:
        """Raises: ValueError: the loss is not finite, or ``out`` holds the state of another fitting."""
        tokenizer = RfsqRun(self, chunks, out).train()
        save_tensors(tokenizer.state_dict(), out / WEIGHTS_FILE)
        write_whole(out / CONFIG_FILE, json.dumps(dump(tokenizer.config), indent=2) + "\n")


class RfsqRun:
    """Weights, optimizer and step of a fitting in a folder."""

    def __init__(self, config: RfsqFitting, chunks: ActionChunks, out: Path) -> None:
        """Begins, or goes on from the folder's state."""
        self.config, self.out, self.step = config, out, 0
        self.actions, self.motions = chunks.training, motion_values(chunks.space.robot)
        torch.manual_seed(config.seed)
        self.tokenizer = RfsqTokenizer(RfsqConfig(space=chunks.space, network=config.network, rest=config.rest))
        optimizer = config.optimizer
        self.optimizer = torch.optim.AdamW(
            self.tokenizer.parameters(), optimizer.learning_rate, (0.9, 0.95), weight_decay=optimizer.weight_decay
        )
        self._wanted = {"config": dump(config), "chunks": dump(chunks.space), "count": len(self.actions)}
        if (out / STATE_FILE).exists():
            self._restore()

    def train(self) -> RfsqTokenizer:
        """Until the last step."""
        with tqdm(total=self.config.steps, initial=self.step, unit="step") as progress:
            while self.step < self.config.steps:
                loss = self._update()
                self.step += 1
                progress.update()
                if self.step % 50 == 0:
                    progress.set_postfix_str(f"loss {loss:.4f}")
                if self.step % self.config.save_every == 0 or self.step == self.config.steps:
                    self._save()
        return self.tokenizer

    def _update(self) -> float:
        random = np.random.default_rng((self.config.seed, self.step))
        rows = random.integers(len(self.actions), size=self.config.optimizer.batch_size)
        kept = random.integers(1, self.config.network.layers + 1, size=len(rows))
        actions = stirred(self.actions[rows], self.motions, self.config.stirred, random)
        set_learning_rate(self.optimizer, learning_rate(self.config.optimizer, self.step, self.config.steps))
        loss = reconstruction_loss(self.tokenizer, torch.from_numpy(actions), torch.from_numpy(kept))
        if not math.isfinite(loss.item()):
            raise ValueError(f"the loss is {loss.item()} at step {self.step}: lower optimizer.learning_rate")
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.tokenizer.parameters(), self.config.optimizer.max_grad_norm)
        self.optimizer.step()
        return loss.item()

    def _save(self) -> None:
        state = {"step": self.step, "weights": self.tokenizer.state_dict(), "optimizer": self.optimizer.state_dict()}
        with whole_file(self.out / STATE_FILE) as draft:
            torch.save({**state, "of": self._wanted}, draft)

    def _restore(self) -> None:
        """Raises: ValueError: it is the state of another fitting."""
        path = self.out / STATE_FILE
        state = torch.load(path, weights_only=True)
        if state["of"] != self._wanted:
            differing = [name for name, value in self._wanted.items() if state["of"].get(name) != value]
            raise ValueError(
                f"{path} is of another fitting ({', '.join(differing)} differ): give another out, or delete the folder"
            )
        self.tokenizer.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def stirred(actions: np.ndarray, motions: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Chunks (B, C, A), of a share of them the motions ((A,) bool) moved as a whole and each a little, within ±1."""
    count = len(actions)
    chosen = (random.random((count, 1, 1)) < share) & motions
    moved = random.uniform(-1, 1, (count, 1, actions.shape[2])) * random.random((count, 1, 1))
    each = random.normal(size=actions.shape) * random.uniform(0, 0.3, (count, 1, 1))
    return np.where(chosen, (actions + moved + each).clip(-1, 1), actions).astype(np.float32)


def reconstruction_loss(tokenizer: RfsqTokenizer, actions: Tensor, kept: Tensor) -> Tensor:
    """Mean absolute error of chunks (B, C, A) decoded from their first ``kept`` (B,) layers.

    Errors of each number of layers are weighted by how small they can be, so that fine ones are not lost beside coarse
    ones. Rounding to codes is left out of the gradient.
    """
    before = tokenizer.encoder(actions)
    latents = before.clamp(-1, 1)
    with torch.no_grad():
        parts = tokenizer.quantizer.parts(tokenizer.quantizer.encode(latents))
        is_kept = torch.arange(parts.shape[-1]) < kept[:, None, None, None]
        rounded = (parts * is_kept).sum(-1).to(latents.dtype)
    decoded = tokenizer.actions(latents + (rounded - latents).detach())
    reachable = tokenizer.quantizer.levels ** -kept.double() + FINEST
    outside = (before.abs() - 1).clamp(min=0).mean()  # the clamp lets no gradient through that would lead back
    return ((decoded - actions).abs().mean((1, 2)) / reachable.to(decoded.dtype)).mean() + outside

"""Trains the completion model: ``./substep train completion --frames TRAINING --calibration DENSE --out RUN``.

The frames come from ``./substep data frames``. A step is a function of weights, optimizer and its number alone, so
a run that is stopped goes on where it was. At the end the threshold is calibrated and the model written to RUN/model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import Field
from torch.nn import functional
from tqdm import tqdm

from substep_core.configuration import configuration
from substep_planner.completion.compact_model import (
    CompletionConfig,
    CompletionInputs,
    CompletionModel,
    save_completion_model,
    substep_text,
)
from substep_planner.decomposers.library import shipped_library
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer, train_tokenizer
from training.completion.calibrate import calibrate
from training.completion.frames import ShownEpisode, read_shown
from training.completion.pairs import PairShares, PairStream, PairTable, TextVariation
from training.data.augmentation import Augmentation
from training.data.paraphrases import training_wordings
from training.data.prefetch import prefetch
from training.train.config import OptimizerConfig
from training.train.finetune_substep import learning_rate, set_learning_rate
from training.whole_file import whole_file

STATE_FILE = "training_state.pt"


@configuration
class CompletionTraining:
    """One run.

    Attributes:
        model: sizes; its threshold is replaced by the calibrated one.
        optimizer: AdamW as for policies.
        save_every: steps between states that a stopped run goes on from.
        bfloat16: mixed precision.
    """

    model: CompletionConfig = CompletionConfig()
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3, warmup_steps=100, batch_size=64)
    shares: PairShares = PairShares()
    texts: TextVariation = TextVariation()
    augmentation: Augmentation = Augmentation(shift=3)
    steps: int = Field(default=1500, ge=1)
    seed: int = Field(default=0, ge=0)
    save_every: int = Field(default=200, ge=1)
    bfloat16: bool = True


class CompletionRun:
    """Weights, optimizer and step of a run in a folder."""

    def __init__(self, config: CompletionTraining, out: Path) -> None:
        """Begins, or goes on from the folder's state."""
        self.config, self.out, self.step = config, out, 0
        torch.manual_seed(config.seed)
        self.model = CompletionModel(config.model)
        decayed = [parameter for parameter in self.model.parameters() if parameter.dim() > 1]
        rest = [parameter for parameter in self.model.parameters() if parameter.dim() <= 1]
        groups = [
            {"params": decayed, "weight_decay": config.optimizer.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.optimizer.learning_rate, betas=(0.9, 0.95))
        if (out / STATE_FILE).exists():
            self._restore()

    def train(self, stream: PairStream) -> None:
        """Until the last step."""
        self.model.train()
        batches = prefetch(stream.batch, range(self.step, self.config.steps), depth=2)
        average = math.nan
        with tqdm(total=self.config.steps, initial=self.step, unit="step") as progress:
            for batch in batches:
                loss = self._update(batch)
                average = loss if math.isnan(average) else 0.98 * average + 0.02 * loss
                self.step += 1
                progress.update()
                progress.set_postfix_str(f"loss {average:.4f}")
                if self.step % self.config.save_every == 0 or self.step == self.config.steps:
                    self._save()

    def _update(self, batch) -> float:
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)  # of dropout
        set_learning_rate(self.optimizer, learning_rate(self.config.optimizer, self.step, self.config.steps))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bfloat16):
            text = self.model.encode_text(batch["input_ids"], batch["attention_mask"])
            logits = self.model(batch["images"], text)
        loss = functional.binary_cross_entropy_with_logits(logits.float(), batch["done"].float())
        if not math.isfinite(loss.item()):
            raise ValueError(f"the loss is {loss.item()} at step {self.step}: lower optimizer.learning_rate")
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.max_grad_norm)
        self.optimizer.step()
        return loss.item()

    def _save(self) -> None:
        state = {"step": self.step, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        with whole_file(self.out / STATE_FILE) as draft:
            torch.save(state, draft)

    def _restore(self) -> None:
        state = torch.load(self.out / STATE_FILE, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def completion_tokenizer(config: CompletionConfig, episodes: Sequence[ShownEpisode]) -> InstructionTokenizer:
    """Fitted to the shipped plans and to what the data say."""
    substeps = {step for suite in shipped_library().values() for plan in suite.values() for step in plan.substeps}
    shown = {step for episode in episodes for step in episode.outline.substeps}
    substeps |= shown
    texts = {substep_text(step) for step in substeps}
    texts |= {wording for step in substeps for wording in training_wordings(step.instruction)}
    tokenizer = InstructionTokenizer(train_tokenizer(texts, config.vocabulary_size), config.max_tokens)
    tokenizer.encode(sorted({substep_text(step) for step in shown}))  # refuses one that is too long
    return tokenizer


def train(config: CompletionTraining, frames: Path, calibration: Path, out: Path) -> Path:
    """The folder of the trained, calibrated model.

    Raises:
        ValueError: there is nothing to train or to calibrate on, a substep has too many words for the model, or the
            loss is not finite.
    """
    episodes, held_out = read_shown(frames), read_shown(calibration)
    if not held_out:
        raise ValueError(f"there are no episodes in {calibration} to calibrate the threshold on")
    if not episodes:
        raise ValueError(f"there are no episodes in {frames} to train on")
    if not config.model.cameras:
        config = replace(config, model=replace(config.model, cameras=episodes[0].cameras))
    out.mkdir(parents=True, exist_ok=True)
    inputs = CompletionInputs(config.model, completion_tokenizer(config.model, episodes))
    table = PairTable(episodes)
    print(f"{len(episodes)} episodes: {table}")
    stream = PairStream(
        table,
        inputs,
        config.optimizer.batch_size,
        config.seed,
        config.shares,
        config.texts,
        config.augmentation,
    )
    run = CompletionRun(config, out)
    run.train(stream)
    folder = out / "model"
    save_completion_model(folder, replace(config.model, calibrated=False), run.model, inputs.tokenizer)
    print(calibrate(folder, held_out))
    return folder

"""Finds the end of a substep (EOS) in predicted probabilities. Training, evaluation and the node share the rules.

Two sources: the EOS head's probability per action, and (discrete mode) the tokenizer's EOS among the action tokens.
Sources: docs of the substep method (EOS head, chunk cutting) and of its EOS token (token position -> timestep).

Arrays may be numpy or torch; the functions use only what both have.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from substep_core.chunk import NO_EOS, Chunk

if TYPE_CHECKING:
    import torch

LARGE_LOG_ODDS = 1e4  # beyond which a token is as good as certain


class EosChoice(StrEnum):
    """Which EOS counts when a chunk has several."""

    FIRST = "first"
    MOST_PROBABLE = "most_probable"


class EosSource(StrEnum):
    """Where a policy reads EOS from."""

    NONE = "none"
    HEAD = "head"
    TOKEN = "token"


class EosConfigurationError(ValueError):
    """The EOS settings contradict the model."""


@dataclass(frozen=True)
class EosRule:
    """EOS from probabilities.

    Attributes:
        threshold: an action whose EOS probability reaches it ends the substep; in [0, 1].
        choice: which one when several reach it.
    """

    threshold: float
    choice: EosChoice = EosChoice.FIRST

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)
        object.__setattr__(self, "choice", EosChoice(self.choice))


@dataclass(frozen=True)
class TokenEosRule:
    """EOS from action-token logits.

    Attributes:
        eos_token_id: the tokenizer's.
        action_dim: tokens per action, A.
        threshold: a token whose EOS probability reaches it counts as EOS; None: a token counts when EOS is its argmax.
        choice: which one when several count.
    """

    eos_token_id: int
    action_dim: int
    threshold: float | None = None
    choice: EosChoice = EosChoice.FIRST

    def __post_init__(self) -> None:
        if self.threshold is not None:
            _check_threshold(self.threshold)
        if self.eos_token_id < 0:
            raise EosConfigurationError(f"eos_token_id is {self.eos_token_id}, expected 0 or more")
        if self.action_dim < 1:
            raise EosConfigurationError(f"action_dim is {self.action_dim}, expected 1 or more")
        object.__setattr__(self, "choice", EosChoice(self.choice))


def find_eos(
    probabilities: np.ndarray | torch.Tensor, rule: EosRule, log_odds: np.ndarray | torch.Tensor | None = None
) -> Any:
    """Index of the action after which the substep ends.

    Args:
        probabilities: (..., C) EOS probability of each action.
        log_odds: (..., C) log(p / (1 − p)), which still tells the most probable where several are 1 in floating point.

    Returns:
        (...) integers in [0, C), ``NO_EOS`` where no probability reaches the threshold; numpy or torch as the input.

    Raises:
        ValueError: a value is NaN or outside [0, 1], or C is 0.
    """
    _check_probabilities(probabilities)
    scores = probabilities if log_odds is None else log_odds
    return _choose(probabilities >= rule.threshold, scores, rule.choice)


def token_eos_probabilities(logits: torch.Tensor, rule: TokenEosRule) -> torch.Tensor:
    """(B, C·A, V) logits -> (B, C·A) probability of the EOS token at each position."""
    _check_logits(logits, rule)
    probabilities = logits.float().softmax(dim=-1)[..., rule.eos_token_id]
    _check_probabilities(probabilities)
    return probabilities


def find_token_eos(logits: torch.Tensor, rule: TokenEosRule) -> torch.Tensor:
    """Timestep (action index) of the EOS token.

    Args:
        logits: (B, C·A, V) at the action tokens.

    Returns:
        (B,) integers: token position // A, ``NO_EOS`` where there is none.

    Raises:
        ValueError: the number of positions is not a multiple of A, or the EOS id lies outside the vocabulary.
    """
    probabilities = token_eos_probabilities(logits, rule)
    if rule.threshold is None:
        counts = logits.argmax(dim=-1) == rule.eos_token_id
    else:
        counts = probabilities >= rule.threshold
    return timestep_of_token(_choose(counts, _token_log_odds(logits, rule), rule.choice), rule.action_dim)


def _token_log_odds(logits: torch.Tensor, rule: TokenEosRule) -> torch.Tensor:
    """(B, C·A, V) -> (B, C·A) log-odds of the EOS token against all others."""
    scores = logits.float()
    eos = scores[..., rule.eos_token_id]
    others = scores.clone()
    others[..., rule.eos_token_id] = -float("inf")
    return (eos - others.logsumexp(dim=-1)).clamp(-LARGE_LOG_ODDS, LARGE_LOG_ODDS)


def timestep_of_token(position: Any, action_dim: int) -> Any:
    """Token position -> action index; ``NO_EOS`` stays ``NO_EOS`` (-1 // A is -1)."""
    return position // action_dim


def action_eos_probabilities(token_probabilities: torch.Tensor, action_dim: int) -> torch.Tensor:
    """(B, C·A) EOS probability of each token -> (B, C): the largest among each action's tokens."""
    return token_probabilities.unflatten(-1, (-1, action_dim)).amax(dim=-1)


def cut_chunk(actions: np.ndarray, probabilities: np.ndarray, eos_index: int) -> Chunk:
    """The chunk that ends at its EOS: ``actions[: eos_index + 1]``, all of it without one.

    Args:
        actions: (C, A).
        probabilities: (C,) EOS probability of every predicted action, kept whole; (0,) without an EOS head.

    Raises:
        ValueError: ``eos_index`` is neither ``NO_EOS`` nor an action, or the lengths differ.
    """
    if not (eos_index == NO_EOS or 0 <= eos_index < len(actions)):
        raise ValueError(f"eos_index is {eos_index}, expected {NO_EOS} or an action from 0 to {len(actions) - 1}")
    if len(probabilities) not in (0, len(actions)):
        raise ValueError(f"{len(probabilities)} EOS probabilities for {len(actions)} actions, expected one each")
    horizon = len(actions) if eos_index == NO_EOS else eos_index + 1
    return Chunk(np.asarray(actions[:horizon], np.float32), np.asarray(probabilities, np.float32), int(eos_index))


def _choose(counts: Any, scores: Any, choice: EosChoice) -> Any:
    """(..., N) which positions are EOS -> (...) the chosen one or ``NO_EOS``; ties go to the first.

    Args:
        scores: (..., N), larger for the more probable.
    """
    score = counts * 1 if choice is EosChoice.FIRST else counts * (scores - scores.min() + 1)
    return (score.argmax(-1) + 1) * counts.any(-1) - 1


def _check_threshold(threshold: float) -> None:
    if not 0.0 <= threshold <= 1.0:
        raise EosConfigurationError(f"EOS threshold is {threshold}, expected a probability from 0 to 1")


def _check_probabilities(probabilities: Any) -> None:
    if probabilities.ndim == 0 or probabilities.shape[-1] == 0:
        raise ValueError(f"EOS probabilities have shape {tuple(probabilities.shape)}, expected (..., C) with C >= 1")
    if not ((probabilities >= 0.0) & (probabilities <= 1.0)).all():  # also false for NaN
        raise ValueError(f"EOS probabilities must lie in [0, 1]: {probabilities}")


def _check_logits(logits: torch.Tensor, rule: TokenEosRule) -> None:
    if logits.ndim != 3 or logits.shape[1] == 0 or logits.shape[1] % rule.action_dim != 0:
        raise ValueError(
            f"action-token logits have shape {tuple(logits.shape)}, expected (B, C * {rule.action_dim}, vocabulary)"
        )
    if rule.eos_token_id >= logits.shape[2]:
        raise ValueError(f"eos_token_id {rule.eos_token_id} lies outside the vocabulary of {logits.shape[2]} tokens")

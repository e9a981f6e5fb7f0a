"""Speculative decoding of residual codes: the same codes as layer by layer, in fewer passes of the main head.

A draft guesses the codes of all layers. One pass of the main head reads all layers at once, each given the guesses
before it. What it says of a chain is right up to and with the first guess that it would not have made, so a chain whose
guesses stand is done; of the others, what the main head said takes the place of the guesses, and they go through
another pass. Chains are accepted one by one: of a chunk's hundred, some are always wrong.

Sources: Leviathan et al. 2023 and Chen et al. 2023 for the rule that keeps sampling exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

Draft = Callable[[Tensor], Tensor]  # features (N, F) of chains -> logits (N, K, V)
FEWEST_ROWS = 16  # of a product on a processor


class ChainHead(Protocol):
    """A head that reads chains of codes coarse to fine."""

    layers: int

    def states(self, features: Tensor, codes: Tensor) -> Tensor:
        """(N, F) and codes (N, K) -> (K, N, F), what each layer sees."""

    def read(self, states: Tensor) -> Tensor:
        """(M, N, F) -> logits (M, N, V)."""


@dataclass(frozen=True)
class Decoded:
    """Codes (N, K), and what they took: passes of the main head, and the rows it read in all of them."""

    codes: Tensor
    passes: int
    rows: int


@dataclass(frozen=True)
class SpeculativeChoice:
    """Features (N, F) of chains -> codes (N, K)."""

    head: ChainHead
    draft: Draft
    temperature: float = 0.0

    def __call__(self, features: Tensor) -> Tensor:
        if self.temperature == 0:
            return greedy(self.head, self.draft, features).codes
        return sample_speculatively(self.head, self.draft, features, self.temperature).codes


def greedy(head: ChainHead, draft: Draft, features: Tensor) -> Decoded:
    """The codes that the main head alone chooses layer by layer, bit for bit."""
    guessed = draft(features).argmax(-1)
    logits, rows = _read(head, features, guessed, 0, len(features))
    codes, passes = logits.argmax(-1), 1
    waiting = _unsettled(codes, guessed, 0)
    for known in range(1, head.layers):  # so many codes of the waiting chains are right already
        if len(waiting) == 0:
            break
        guessed = codes[waiting]
        logits, read = _read(head, features[waiting], guessed, known, len(features))
        chosen = torch.cat([guessed[:, :known], logits.argmax(-1)], dim=-1)
        codes[waiting] = chosen
        passes, rows = passes + 1, rows + read
        waiting = waiting[_unsettled(chosen, guessed, known)]
    return Decoded(codes, passes, rows)


def _unsettled(chosen: Tensor, guessed: Tensor, known: int) -> Tensor:
    """Which chains of codes (n, K) have to be read again: a code that others depend on was not as it was guessed."""
    return (chosen != guessed)[:, known:-1].any(-1).nonzero()[:, 0]


def sample(head: ChainHead, features: Tensor, temperature: float) -> Tensor:
    """Codes (N, K) drawn layer by layer from the main head's distribution at a temperature, by torch's generator."""
    codes = torch.zeros(len(features), head.layers, dtype=torch.int64, device=features.device)
    for layer in range(head.layers):
        logits = head.read(head.states(features, codes)[layer])
        codes[:, layer] = _draw((logits.double() / temperature).softmax(-1))
    return codes


def sample_speculatively(head: ChainHead, draft: Draft, features: Tensor, temperature: float) -> Decoded:
    """Codes with the distribution of ``sample``, whatever the draft is.

    A guess x of a layer is accepted with probability min(1, p(x) / q(x)), main head over draft; in place of the first
    that is not, a code is drawn from max(0, p − q). Guesses behind it were drawn without regard to what comes before
    them and have not been looked at, so they are fresh.
    """
    guessed = (draft(features).double() / temperature).softmax(-1)  # (N, K, V)
    guesses = _draw(guessed)
    chance = torch.rand(guesses.shape, dtype=torch.float64, device=features.device)
    codes, layers = guesses.clone(), torch.arange(head.layers, device=features.device)
    known = torch.zeros(len(features), dtype=torch.int64, device=features.device)
    waiting = torch.arange(len(features), device=features.device)
    passes = rows = 0
    while len(waiting) > 0:
        logits, read = _read(head, features[waiting], codes[waiting], 0, len(features))
        passes, rows = passes + 1, rows + read
        meant, proposed = (logits.double() / temperature).softmax(-1), guessed[waiting]
        ratio = _of(meant, guesses[waiting]) / _of(proposed, guesses[waiting])
        stands = (chance[waiting] < ratio) | (layers < known[waiting, None])
        first = stands.long().cumprod(-1).sum(-1)  # the first layer whose guess does not stand; K where all do
        missed = first < head.layers
        chains, at = waiting[missed], first[missed]
        rest = (meant[missed, at] - proposed[missed, at]).clamp(min=0)
        is_left = rest.sum(-1, keepdim=True) > 0  # nothing is where the two are the same but for rounding
        codes[chains, at] = _draw(torch.where(is_left, rest, meant[missed, at]))
        known[chains] = at + 1
        waiting = chains[at + 1 < head.layers]
    return Decoded(codes, passes, rows)


def _read(head: ChainHead, features: Tensor, codes: Tensor, first: int, block: int) -> tuple[Tensor, int]:
    """Logits (n, K − first, V) of the layers from ``first`` on, and the rows that were read.

    Products of other shapes may round differently, and the codes would differ where two are all but equally likely. So
    on a GPU rows go through the head in blocks of the size that decoding layer by layer has. A processor's product
    gives a row the same bits among however many rows, if not too few.
    """
    states = head.states(features, codes)[first:]
    flat = states.flatten(0, 1)
    block = block if flat.is_cuda else min(block, FEWEST_ROWS)
    padded = functional.pad(flat, (0, 0, 0, -len(flat) % block))
    logits = head.read(padded.unflatten(0, (-1, block))).flatten(0, 1)
    return logits[: len(flat)].unflatten(0, states.shape[:2]).transpose(0, 1), len(padded)


def _draw(probabilities: Tensor) -> Tensor:
    """(…, V) -> (…)."""
    return torch.multinomial(probabilities.flatten(0, -2), 1).reshape(probabilities.shape[:-1])


def _of(probabilities: Tensor, codes: Tensor) -> Tensor:
    """(…, V) and codes (…) -> the probability of each."""
    return probabilities.gather(-1, codes.unsqueeze(-1)).squeeze(-1)

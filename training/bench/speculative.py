"""Times speculative decoding of residual codes beside decoding layer by layer: ``./substep bench speculative``.

Both give the same codes, so that time, passes and acceptance say all; the parallel head of the same sizes, which needs
neither, is timed beside them. All are timed by turns on the same chunks, and compared chunk by chunk. A trained
checkpoint is measured on the demonstrations held out from its training; without one, heads with random weights on
random hidden states, whose draft has learned nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from substep_core.configuration import dump, parse
from substep_core.contract import RobotContract
from substep_policy.action_tokenizers.rfsq import RfsqConfig
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.benchmarks.timing import device_name, measure, measure_by_turns
from substep_policy.device import choose_device
from substep_policy.heads import DecoderShape
from substep_policy.heads.residual_tokens.coarse_to_fine import CoarseToFineConfig, CoarseToFineHead
from substep_policy.heads.residual_tokens.decoder import ResidualTokenDecoder
from substep_policy.heads.residual_tokens.draft import DraftConfig
from substep_policy.heads.residual_tokens.parallel import ParallelHead, ParallelTokensConfig
from substep_policy.heads.residual_tokens.speculative import greedy
from substep_policy.models.compact.backbone import CompactConfig
from substep_policy.models.normalization import GripperConvention
from training.checkpoints.load_run import load_trained
from training.intervals import median_interval

CHUNK_LENGTH = 8  # of random heads
FEWEST_TURNS = 20  # that are timed, however few chunks there are


@dataclass(frozen=True)
class WayToDecode:
    """Milliseconds of a chunk, median.

    Attributes:
        times_as_fast: as decoding layer by layer: median over chunks; interval: of that median, 95 %.
    """

    ms: float
    times_as_fast: float
    interval: tuple[float, float]

    @classmethod
    def beside(cls, layer_by_layer: np.ndarray, own: np.ndarray) -> WayToDecode:
        """From the times (turns,) of both."""
        quotients = layer_by_layer / own
        return cls(float(np.median(own)), float(np.median(quotients)), median_interval(quotients.tolist()))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.ms:8.3f} ms, {self.times_as_fast:.2f} times as fast ({low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class SpeculativeFigures:
    """Times in milliseconds of one chunk, medians over chunks.

    Attributes:
        acceptance: of each layer, the share of the draft's codes that are the main head's, of chains whose coarser ones
            are.
        passes, rows: of the main head a chunk, on average; layer by layer they are the layers and all codes.
        right_draft: speculative decoding with a draft that costs as much and is always right: the best there is.
        flips: codes of all chunks that differ from those of decoding layer by layer.
        chunk_ms: the whole chunk, from images on; None without a checkpoint.
    """

    model: str
    device: str
    date: str
    chunks: int
    layers: int
    chains: int
    layer_by_layer_ms: float
    speculative: WayToDecode
    right_draft: WayToDecode
    parallel_head: WayToDecode
    draft_ms: float
    features_ms: float
    detokenize_ms: float
    acceptance: tuple[float, ...]
    passes: float
    rows: float
    flips: int
    chunk_ms: float | None = None

    def __str__(self) -> str:
        accepted = " ".join(f"{share:.0%}" for share in self.acceptance)
        lines = [
            f"{self.model}, {self.layers} layers of {self.chains} chains, on {self.device}, {self.date}",
            f"{'layer by layer':<34}{self.layer_by_layer_ms:8.3f} ms, {self.layers} passes",
            f"{'speculative':<34}{self.speculative}, {self.passes:.2f} passes of "
            f"{self.rows / self.chains:.1f} times the chains in all",
            f"{'… with a draft that is right':<34}{self.right_draft}, 1 pass",
            f"{'… of that the draft':<34}{self.draft_ms:8.3f} ms, accepted by layer: {accepted}",
            f"{'parallel head of the same sizes':<34}{self.parallel_head}, 1 pass",
            f"{'features, before all of them':<34}{self.features_ms:8.3f} ms",
            f"{'codes to actions, after them':<34}{self.detokenize_ms:8.3f} ms",
            f"{self.flips} of {self.chunks * self.chains * self.layers} codes differ between the first two",
        ]
        if self.chunk_ms is not None:
            head = self.features_ms + self.speculative.ms + self.detokenize_ms
            lines.append(f"{'whole chunk':<34}{self.chunk_ms:8.3f} ms, of which the head {head / self.chunk_ms:.0%}")
        return "\n".join(lines)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def benchmark(
    checkpoint: Path | None,
    robot: RobotContract,
    layers: int,
    chunks: int,
    device: str,
    overrides: Sequence[str] = (),
) -> SpeculativeFigures:
    """Measure a checkpoint, or heads with random weights.

    Args:
        robot, layers: of random weights.
        overrides: of the configuration that the checkpoint was trained with.

    Raises:
        ValueError: the checkpoint cannot be loaded, has no draft, or no demonstration is held out.
    """
    chosen = choose_device(device)
    if checkpoint is None:
        return _of_random(robot, layers, chunks, chosen)
    return _of_checkpoint(checkpoint, chunks, chosen, overrides)


def _of_random(robot: RobotContract, layers: int, chunks: int, device: torch.device) -> SpeculativeFigures:
    """Heads of the default sizes, for the compact model's hidden states."""
    torch.manual_seed(0)
    bounds = ((-1.0,) * robot.action_width, (1.0,) * robot.action_width)
    space = ActionSpace(
        robot=robot,
        chunk_length=CHUNK_LENGTH,
        gripper=GripperConvention.CLOSE_IS_ONE,
        low=bounds[0],
        high=bounds[1],
    )
    shape = DecoderShape(CompactConfig().action_width, CHUNK_LENGTH, robot.action_width)
    decoder = CoarseToFineConfig(action_tokenizer=RfsqConfig(space=space), layers=layers, draft=DraftConfig()).build(
        shape
    )
    for part in decoder.parts.values():
        part.to(device)
    slots = CHUNK_LENGTH * robot.action_width
    hidden = [torch.randn(1, slots, shape.hidden_dim, device=device) for _ in range(chunks)]
    return measure_decoder("random weights", decoder, shape, hidden, device)


@torch.inference_mode()
def _of_checkpoint(checkpoint: Path, chunks: int, device: torch.device, overrides: Sequence[str]) -> SpeculativeFigures:
    trained = load_trained(checkpoint, overrides)
    decoder, held_out = trained.model.decoder, trained.data.held_out
    if not isinstance(decoder, ResidualTokenDecoder) or decoder.draft is None:
        raise ValueError(f"{checkpoint} has no draft: train it with an action_head of type rfsq_coarse_to_fine and one")
    if held_out is None:
        raise ValueError("no demonstration is held out: set data.held_out_every")
    model = trained.model.to(device)
    numbers = np.linspace(0, len(held_out) - 1, min(chunks, len(held_out))).astype(int)
    batches = [
        {name: tensor.to(device) for name, tensor in trained.data.transform([held_out[int(number)]]).items()}
        for number in numbers
    ]
    hidden = [model(batch) for batch in batches]
    whole = measure(lambda: model.act(batches[0]), len(batches), device=str(device)).median
    config = trained.model_config
    shape = DecoderShape(model.backbone.hidden_dim, config.chunk_length, config.robot.action_width)
    return measure_decoder(checkpoint.name, decoder, shape, hidden, device, whole)


@torch.inference_mode()
def measure_decoder(
    name: str,
    decoder: ResidualTokenDecoder,
    shape: DecoderShape,
    hidden: Sequence[Tensor],
    device: torch.device,
    chunk_ms: float | None = None,
) -> SpeculativeFigures:
    """Figures of a decoder with a draft on the hidden states (1, C·A, D) of some chunks."""
    head, draft = decoder.head, decoder.draft
    assert isinstance(head, CoarseToFineHead)
    parallel = _parallel_head(head, shape).to(device)
    features = [head.chain_features(states).flatten(0, 2) for states in hidden]
    exact = [head.greedy(rows) for rows in features]
    decoded = [greedy(head, draft, rows) for rows in features]
    codes = exact[0].unflatten(0, (1, shape.chunk_length, head.latents))

    def speculate_rightly(number: int) -> Tensor:
        def draft_rightly(rows: Tensor) -> Tensor:
            return draft(rows).zero_().scatter_(-1, exact[number].unsqueeze(-1), 1.0)

        return greedy(head, draft_rightly, features[number]).codes

    timed = [
        lambda number: head.greedy(features[number]),
        lambda number: greedy(head, draft, features[number]),
        speculate_rightly,
        lambda number: parallel.greedy(features[number]),
        lambda number: draft(features[number]),
        lambda number: head.chain_features(hidden[number]),
        lambda number: decoder.action_tokenizer.decode(codes),
    ]
    layer_by_layer, speculative, right_draft, parallel_head, *others = _times(timed, len(hidden), str(device))
    return SpeculativeFigures(
        name,
        device_name(str(device)),
        datetime.now(UTC).date().isoformat(),
        len(hidden),
        head.layers,
        len(features[0]),
        float(np.median(layer_by_layer)),
        *(WayToDecode.beside(layer_by_layer, own) for own in (speculative, right_draft, parallel_head)),
        *(float(np.median(own)) for own in others),
        acceptance(torch.cat([draft(rows).argmax(-1) for rows in features]), torch.cat(exact)),
        float(np.mean([result.passes for result in decoded])),
        float(np.mean([result.rows for result in decoded])),
        sum(int((result.codes != truth).sum()) for result, truth in zip(decoded, exact, strict=True)),
        chunk_ms,
    )


def _times(functions: Sequence[Callable[[int], object]], chunks: int, device: str) -> np.ndarray:
    """Milliseconds (functions, turns) by turns. functions: each of the number of a chunk."""
    turns = max(chunks, FEWEST_TURNS)
    taken = [lambda turn, function=function: function(turn % chunks) for function in functions]
    return measure_by_turns(taken, turns, min(10, turns), device)


def acceptance(drafted: Tensor, exact: Tensor) -> tuple[float, ...]:
    """Codes (N, K) -> of each layer, how many are right of the chains whose coarser codes are; 0 where none is."""
    stands = (drafted == exact).long().cumprod(-1).double().sum(0)
    before = torch.cat([torch.full_like(stands[:1], len(drafted)), stands[:-1]])
    return tuple((stands / before.clamp(min=1)).tolist())


def _parallel_head(head: CoarseToFineHead, shape: DecoderShape) -> ParallelHead:
    """With random weights: its time does not depend on them."""
    fields = dump(head.config)
    for only_coarse_to_fine in ("type", "chain_hidden_dim", "choice", "temperature", "draft"):
        del fields[only_coarse_to_fine]
    return ParallelHead(parse(ParallelTokensConfig, fields, "the head's configuration"), shape).eval()

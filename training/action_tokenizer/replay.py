"""Replays recorded demonstrations through a tokenizer: the ceiling of any policy that predicts its tokens.

Every chunk of a recording is encoded, decoded and carried out, open loop, from the recording's start. What fails then
fails by the tokenizer alone. Each result is a line of a file, and a replay that has one is not made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from substep_core.configuration import configuration
from substep_core.policy_source import fingerprint_of
from substep_policy.action_tokenizers.folder import ChunkTokenizer, load_tokenizer
from training.collect.replay import RenderConfig, read_recorded
from training.data.readers import LiberoHdf5Source
from training.data.readers.libero_hdf5 import files
from training.folder_lock import alone_in
from training.record_lines import RecordLines, claim
from training.workers import parallel_map

EXACT = 0  # layers of the replay that goes through no tokenizer
RESULTS_FILE, SETTINGS_FILE = "replays.jsonl", "settings.json"


@configuration
class ReplaySettings:
    """What results depend on. ``tokenizer``: fingerprint of its folder."""

    tokenizer: str


@dataclass(frozen=True)
class TokenizerReplay:
    """One replay to make. ``layers``: of the tokenizer's that are kept; ``EXACT``: the recorded actions themselves."""

    file: Path
    demo: str
    layers: int

    @property
    def key(self) -> str:
        return f"{self.file.parent.name}/{self.file.name}/{self.demo}/{self.layers}"


@dataclass(frozen=True)
class ReplayReport:
    """By number of layers kept: replays that succeed, of those that do without the tokenizer."""

    exact: int
    recorded: int
    succeeded: dict[int, int]

    def __str__(self) -> str:
        lines = [f"{self.exact} of {self.recorded} recordings succeed when they are replayed as they are; of these:"]
        lines += [
            f"  {layers} layers: {count} ({count / max(self.exact, 1):.0%})" for layers, count in self.succeeded.items()
        ]
        return "\n".join(lines)


def replays(
    folder: Path, demonstrations: Path, layers: Sequence[int], per_task: int, out: Path, workers: int
) -> ReplayReport:
    """Replay recordings (``./substep data collect``) with each number of layers.

    Args:
        folder: of the tokenizer; a type without layers counts as one of 1.
        per_task: recordings of each task, the first.
        out: folder of the results.
        workers: processes; 1 is this one.

    Raises:
        CheckpointError: there is no such tokenizer.
        ReplayError: a file holds no recording.
        ValueError: a number of layers that the tokenizer does not have, there is nothing to replay, or the folder
            holds replays through another tokenizer.
    """
    most = load_tokenizer(folder).finenesses
    if wrong := [kept for kept in layers if not 1 <= kept <= most]:
        raise ValueError(f"layers are {wrong}, the tokenizer in {folder} has 1 to {most}")
    wanted = [
        TokenizerReplay(file, demo, kept)
        for file, demo in recordings(demonstrations, per_task)
        for kept in (EXACT, *(layers or range(1, most + 1)))
    ]
    if not wanted:
        raise ValueError(f"there is nothing to replay in {demonstrations}")
    with alone_in(out):
        claim(out / SETTINGS_FILE, ReplaySettings(fingerprint_of(folder)))
        lines = RecordLines(out / RESULTS_FILE)
        done = {record["key"]: record["success"] for record in lines.records}
        missing = [replay for replay in wanted if replay.key not in done]
        outcomes = parallel_map(partial(succeeds, folder), missing, 0 if workers == 1 else workers)
        for replay, success in zip(missing, tqdm(outcomes, total=len(missing), unit="replay"), strict=True):
            done[replay.key] = success
            lines.append({"key": replay.key, "layers": replay.layers, "success": success})
    return summarize(wanted, done)


def recordings(demonstrations: Path, per_task: int) -> Iterable[tuple[Path, str]]:
    """File and name of the first recordings of each task."""
    for _, path in files(LiberoHdf5Source(path=demonstrations)):
        with h5py.File(path) as content:
            names = sorted(content["data"], key=lambda name: (len(name), name))
        yield from ((path, name) for name in names[:per_task])


def summarize(wanted: Sequence[TokenizerReplay], done: dict[str, bool]) -> ReplayReport:
    exact = {(replay.file, replay.demo) for replay in wanted if replay.layers == EXACT and done[replay.key]}
    counts = Counter({replay.layers: 0 for replay in wanted if replay.layers != EXACT})
    for replay in wanted:
        if replay.layers != EXACT and (replay.file, replay.demo) in exact:
            counts[replay.layers] += done[replay.key]
    return ReplayReport(len(exact), sum(replay.layers == EXACT for replay in wanted), dict(sorted(counts.items())))


def succeeds(folder: Path, replay: TokenizerReplay) -> bool:
    """Whether the task is done when the recording is replayed."""
    recorded = read_recorded(replay.file, replay.demo)
    actions = recorded.actions
    if replay.layers != EXACT:
        actions = through(_loaded(folder), replay.layers, actions)
    simulation = recorded.restart(RenderConfig())
    for action in actions:
        simulation.step(action)
        if simulation.success:
            return True
    return False


def through(tokenizer: ChunkTokenizer, layers: int, actions: np.ndarray) -> np.ndarray:
    """A recording's actions (T, A), chunk after chunk through a tokenizer; the last is filled up with its end."""
    space = tokenizer.space
    steps = np.minimum(np.arange(-(-len(actions) // space.chunk_length) * space.chunk_length), len(actions) - 1)
    chunks = space.normalizer.encode(actions[steps]).reshape(-1, space.chunk_length, space.width)
    decoded = space.normalizer.decode(tokenizer.reconstruct(chunks, layers).actions)
    return decoded.reshape(-1, space.width)[: len(actions)]


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> ChunkTokenizer:
    """Once a process."""
    return load_tokenizer(folder)

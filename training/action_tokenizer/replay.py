"""Replays recorded demonstrations through a tokenizer: the ceiling of any policy that predicts its tokens.

Every chunk of a recording is encoded, decoded and carried out, open loop, from the recording's start. What fails then
fails by the tokenizer alone. Each result is a line of a file, and a replay that has one is not made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from pathlib import Path

import h5py
from tqdm import tqdm

from substep_core.configuration import configuration
from substep_core.policy_source import fingerprint_of
from substep_policy.action_tokenizers.folder import ChunkTokenizer, load_tokenizer
from training.action_tokenizer.replayed_parts import ALL, carried_out, check_parts
from training.collect.replay import RenderConfig, read_recorded
from training.data.readers import LiberoHdf5Source
from training.data.readers.libero_hdf5 import files
from training.folder_lock import alone_in
from training.intervals import wilson
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
    """One replay to make.

    Attributes:
        layers: of the tokenizer's that are kept; ``EXACT``: the recorded actions themselves.
        part: of the tokenizer's error, see ``training.action_tokenizer.replayed_parts``.
    """

    file: Path
    demo: str
    layers: int
    part: str = ALL

    @property
    def recording(self) -> str:
        return f"{self.file.parent.name}/{self.file.name}/{self.demo}"

    @property
    def key(self) -> str:
        key = f"{self.recording}/{self.layers}"
        return key if self.part == ALL else f"{key}/{self.part}"


@dataclass(frozen=True)
class ReplayReport:
    """Replays that succeed, of recordings that do without the tokenizer, by number of layers kept and part.

    Attributes:
        failed: the recordings that fail, likewise.
    """

    exact: int
    recorded: int
    succeeded: dict[tuple[int, str], int]
    failed: dict[tuple[int, str], tuple[str, ...]]

    def __str__(self) -> str:
        lines = [f"{self.exact} of {self.recorded} recordings succeed when they are replayed as they are; of these:"]
        for (layers, part), count in self.succeeded.items():
            low, high = wilson(count, self.exact) if self.exact else (0.0, 1.0)
            share = f"{count} ({count / max(self.exact, 1):.0%}; {low:.0%} to {high:.0%})"
            lines.append(f"  {layers} layers{'' if part == ALL else f', {part}'}: {share}")
        for (layers, part), names in self.failed.items():
            lines += [f"fails with {layers} layers, {part}: {name}" for name in names]
        return "\n".join(lines)


def replays(
    folder: Path,
    demonstrations: Path,
    layers: Sequence[int],
    per_task: int,
    out: Path,
    workers: int,
    parts: Sequence[str] = (ALL,),
) -> ReplayReport:
    """Replay recordings (``./substep data collect``) with each number of layers.

    Args:
        folder: of the tokenizer; a type without layers counts as one of 1.
        per_task: recordings of each task, the first.
        out: folder of the results.
        workers: processes; 1 is this one.
        parts: of the tokenizer's error, see ``training.action_tokenizer.replayed_parts``.

    Raises:
        CheckpointError: there is no such tokenizer.
        ReplayError: a file holds no recording.
        ValueError: a number of layers that the tokenizer does not have, an unknown part, there is nothing to replay, or
            the folder holds replays through another tokenizer.
    """
    tokenizer = load_tokenizer(folder)
    most = tokenizer.finenesses
    check_parts(parts, tokenizer.space.robot)
    if wrong := [kept for kept in layers if not 1 <= kept <= most]:
        raise ValueError(f"layers are {wrong}, the tokenizer in {folder} has 1 to {most}")
    ways = [(EXACT, ALL), *product(layers or range(1, most + 1), parts)]
    wanted = [
        TokenizerReplay(file, demo, kept, part)
        for file, demo in recordings(demonstrations, per_task)
        for kept, part in ways
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
            lines.append({"key": replay.key, "layers": replay.layers, "part": replay.part, "success": success})
    return summarize(wanted, done)


def recordings(demonstrations: Path, per_task: int) -> Iterable[tuple[Path, str]]:
    """File and name of the first recordings of each task."""
    for _, path in files(LiberoHdf5Source(path=demonstrations)):
        with h5py.File(path) as content:
            names = sorted(content["data"], key=lambda name: (len(name), name))
        yield from ((path, name) for name in names[:per_task])


def summarize(wanted: Sequence[TokenizerReplay], done: dict[str, bool]) -> ReplayReport:
    exact = {replay.recording for replay in wanted if replay.layers == EXACT and done[replay.key]}
    succeeded, failed = {}, {}
    for way in sorted({(replay.layers, replay.part) for replay in wanted if replay.layers != EXACT}):
        made = [each for each in wanted if (each.layers, each.part) == way and each.recording in exact]
        failed[way] = tuple(each.recording for each in made if not done[each.key])
        succeeded[way] = len(made) - len(failed[way])
    return ReplayReport(len(exact), sum(replay.layers == EXACT for replay in wanted), succeeded, failed)


def succeeds(folder: Path, replay: TokenizerReplay) -> bool:
    """Whether the task is done when the recording is replayed."""
    recorded = read_recorded(replay.file, replay.demo)
    actions = recorded.actions
    if replay.layers != EXACT:
        actions = carried_out(_loaded(folder), replay.layers, replay.part, actions, replay.recording)
    simulation = recorded.restart(RenderConfig())
    for action in actions:
        simulation.step(action)
        if simulation.success:
            return True
    return False


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> ChunkTokenizer:
    """Once a process."""
    return load_tokenizer(folder)

"""What a frozen image network sees of frames, computed once and kept on disk beside them.

features.bin    (N, cameras, F) float16, one entry a look, in the order of the looks; building it can stop at any
                point and goes on later
origin.json     what it was made of: weights, demonstrations and looks
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from training.data.dataset import SubstepDataset
from training.data.frame_cache import StoreError
from training.data.frame_file import FrameFile
from training.disk_room import check_room
from training.folder_lock import in_turn
from training.whole_file import write_whole

BATCH = 64  # looks that are computed at a time


class Look(NamedTuple):
    """A frame by its number in the store, and the words that the network is told; "" of one that is told none."""

    row: int
    told: str


class FeatureCache:
    """Features of all ``looks``, by look.

    Args:
        folder: of the two files; made if need be.
        origin: digests of what the features are made of, by name: a folder with others is refused.
        looks: each once.
        shape: (cameras, F) of what is seen at a look.
        see: the features (N, cameras, F) of some of the looks.

    Raises:
        StoreError: the folder holds features of other weights, demonstrations or looks.
        OSError: the disk has no room for them.
    """

    def __init__(
        self,
        folder: Path,
        origin: Mapping[str, str],
        looks: Sequence[Look],
        shape: tuple[int, int],
        see: Callable[[Sequence[Look]], Tensor],
    ) -> None:
        self._numbers = {look: number for number, look in enumerate(looks)}
        self._shape = shape
        with in_turn(folder):
            _claim(folder, {**origin, "looks": digest(f"{shape} {list(map(tuple, looks))}".encode())})
            self._fill(folder / "features.bin", looks, see)
        self._file = FrameFile(folder / "features.bin", shape, len(looks), np.float16)

    def features(self, looks: Sequence[Look]) -> Tensor:
        """(N, cameras, F) float16."""
        return torch.from_numpy(np.stack([self._file[self._numbers[look]] for look in looks]))

    def _fill(self, path: Path, looks: Sequence[Look], see: Callable[[Sequence[Look]], Tensor]) -> None:
        size = int(np.prod(self._shape)) * np.dtype(np.float16).itemsize
        path.touch()
        done = path.stat().st_size // size
        os.truncate(path, done * size)  # what an interruption left unfinished
        check_room(path.parent, (len(looks) - done) * size, f"features of {len(looks) - done} looks at frames")
        with tqdm(total=len(looks), initial=done, desc="features", unit="look", disable=done == len(looks)) as progress:
            while done < len(looks):
                batch = looks[done : done + BATCH]
                with path.open("ab") as file:
                    file.write(see(batch).to("cpu", torch.float16).numpy().tobytes())
                done += len(batch)
                progress.update(len(batch))


def digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def frozen_digest(network: torch.nn.Module) -> str:
    """Of its weights that do not learn, with their names."""
    frozen = sorted((name, weight) for name, weight in network.named_parameters() if not weight.requires_grad)
    return digest(*(part for name, weight in frozen for part in (name.encode(), weight.cpu().numpy().tobytes())))


def frames_digest(dataset: SubstepDataset) -> str:
    """Of the demonstrations of a data set: which they are, where their frames are of, and what was done in them."""
    steps = (dataset.training_proprio(), dataset.training_actions())
    episodes = json.dumps([asdict(episode) for episode in dataset.episodes], sort_keys=True)
    return digest(episodes.encode(), *(part.tobytes() for part in steps))


def _claim(folder: Path, origin: Mapping[str, str]) -> None:
    path = folder / "origin.json"
    if not path.exists():
        write_whole(path, json.dumps(origin, indent=2) + "\n")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    if changed := [name for name in origin if before.get(name) != origin[name]]:
        raise StoreError(f"{folder} holds features of other {' and '.join(changed)}: delete it, and they are made anew")

"""What can be looked at: a run, its bag, an episode of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from substep_bags.graph_bag import GraphBag
from substep_bags.metadata import FILE
from substep_bags.reader import BagError
from substep_bringup.graph import BAG
from training.view.drawing import Drawing
from training.view.entries import Entry


def find_bag(path: Path) -> Path:
    """The folder of the bag that is meant.

    Args:
        path: of a bag, of a run, or of an episode, in which one run is.

    Raises:
        BagError: there is none, or there are several.
    """
    if (path / FILE).is_file() or any(path.glob("*.mcap")) or not path.is_dir():
        return path
    found = [folder for pattern in (BAG, f"*/{BAG}") for folder in path.glob(pattern) if folder.is_dir()]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(sorted(str(folder) for folder in found)[:5])
        raise BagError(f"{path} holds {len(found)} bags: name one of them, such as {several}")
    raise BagError(f"{path} holds no bag, neither in it nor in {BAG}/: record with './substep sim --record'")


def entries(bag: GraphBag, drawing: Drawing) -> Iterator[Entry]:
    """Everything that a bag shows, in the order in which it was recorded."""
    for heard in bag.read(drawing.topics):
        yield from drawing.hear(heard.topic, heard.message)

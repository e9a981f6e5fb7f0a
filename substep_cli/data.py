"""``./substep data …``: demonstrations are recorded, labelled and rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from substep_cli.options import Assets, Count, Flat, ImageSize, Robot, SourceType, Suites, Tasks, Workers
from substep_core.contract import LIBERO_PANDA
from training.collect.settings import CollectionSettings


def collect(
    *,
    out: Path,
    suites: Suites = (),
    tasks: Tasks = None,
    workers: Workers = 2,
    settings: Annotated[CollectionSettings, Flat] = CollectionSettings(),
) -> int:
    """Record demonstrations of the scripted expert.

    A collection that is stopped goes on where it was, with any number of workers, and ends in the same files: LIBERO's
    HDF5 layout, substep labels and plans. Exit code 1: a task has fewer demonstrations than asked for.

    Args:
        out: folder of the data set.
    """
    from libero_bridge.libero_setup import check_assets
    from training.collect.command import collect_tasks

    check_assets(settings.assets)  # before the folder is made
    source = settings.source
    chosen = [
        (suite, task) for suite in suites or source.default_suites for task in tasks or range(len(source.names(suite)))
    ]
    outcomes = collect_tasks(settings, chosen, out, workers)
    kept, wanted = sum(outcome.kept for outcome in outcomes), len(chosen) * settings.per_task
    print(f"{kept} of {wanted} demonstrations of {len(chosen)} tasks in {out}")
    return 0 if kept == wanted else 1


def label(
    folder: Path,
    /,
    *,
    source_type: SourceType = "libero_hdf5",
    suite: str | None = None,
    robot: Robot = LIBERO_PANDA,
    library: Path | None = None,
    out: Path | None = None,
    compare: Path | None = None,
) -> int:
    """Label the substeps of any demonstrations, by their plans and by what gripper and hand do.

    Exit code 1: nothing could be labelled.

    Args:
        folder: the demonstrations.
        suite: the suite, where the folder does not name it.
        library: a plan file instead of the shipped one.
        out: file of the labels; none: substep_labels.json beside the demonstrations.
        compare: labels to report the agreement with.
    """
    from substep_core.configuration import parse
    from substep_core.contract import load_robot
    from training.data.readers import DATA_READERS
    from training.labels.command import label_source

    source = parse(
        DATA_READERS.load(source_type), {"type": source_type, "path": folder, "suite": suite}, "command line"
    )
    return 0 if label_source(source, load_robot(robot), library, out, compare) else 1


def rerender(
    folder: Path, /, *, out: Path, image_size: ImageSize = (128, 128), assets: Assets = "embedded", workers: Workers = 2
) -> None:
    """Add frames and states to collected demonstrations.

    The files are written anew in LIBERO's layout. What is there already is left alone, so it may be stopped and started
    again.

    Args:
        folder: of ./substep data collect.
        out: folder of the new files.
    """
    from libero_bridge.libero_setup import check_assets
    from training.collect.replay import RenderConfig
    from training.collect.rerender import rerender

    check_assets(assets)
    print(f"{rerender(folder, out, RenderConfig(_side(image_size), assets=assets), workers)} demonstrations in {out}")


def export(
    folder: Path,
    /,
    *,
    out: Path,
    format: str = "lerobot",
    source_type: SourceType = "libero_hdf5",
    robot: Robot = LIBERO_PANDA,
    labels: Path | None = None,
    image_size: ImageSize = (128, 128),
) -> None:
    """Write demonstrations in another format.

    lerobot: a LeRobot v3 data set with videos; substeps are its subtasks. pi05-folders: TASK/SUBTASK/RUN with
    actions.npy, qpos.npy and a folder of JPEGs a camera, and instructions.json; what has no labels is left out.

    Args:
        folder: the demonstrations.
        out: a new folder.
        format: lerobot, pi05-folders, or an installed one.
        labels: their substep_labels.json; none: the one beside them, or what they say themselves.
    """
    from substep_core.configuration import parse
    from substep_core.contract import load_robot
    from training.data.readers import DATA_READERS
    from training.data.writers import DATA_WRITERS

    content = {"type": source_type, "path": folder, "labels": labels}
    if source_type == "libero_hdf5":
        content["render_size"] = _side(image_size)
    write = DATA_WRITERS.load(format)
    source = parse(DATA_READERS.load(source_type), content, "command line")
    print(f"{write(source, load_robot(robot), out)} in {out}")


def frames(
    folder: Path,
    /,
    *,
    out: Path,
    first: int = 0,
    per_task: Count = 20,
    every_step: bool = False,
    workers: Workers = 2,
) -> None:
    """Render the frames that the completion model is trained on and measured with.

    Each episode is also shown with a failure. What is there already is not rendered again.

    Args:
        folder: of ./substep data collect.
        out: folder of the frames.
        first: number of the first episode of each task.
        per_task: episodes of each task.
        every_step: render every step, to calibrate and to measure delays on, and not only those to train on.
    """
    from libero_bridge.tasks import ROBOT
    from substep_core.contract import load_robot
    from training.completion.frames import RenderSettings, render_all

    settings = RenderSettings(load_robot(ROBOT), density="every" if every_step else "sparse")
    count = render_all(folder, out, range(first, first + per_task), settings, workers)
    print(f"{count} demonstrations in {out}")


def _side(image_size: tuple[int, int]) -> int:
    """Raises: ValueError: replays are rendered square, as LIBERO's data are."""
    height, width = image_size
    if height != width:
        raise ValueError(f"--image-size is {height} {width}: frames of replays are square")
    return height

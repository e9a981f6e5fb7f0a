"""``./substep bag …``: what can be done with the bag of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from substep_bags.playback import PlaySettings
from substep_cli.options import CommandLine, Flat
from substep_core.printable import show
from training.rerun.settings import RerunSettings


def play(
    bag: Path,
    /,
    *,
    settings: Annotated[PlaySettings, Flat] = PlaySettings(),
    remap: tuple[str, ...] = (),
) -> int:
    """Publish what a bag has recorded, with the QoS that was recorded, until its end.

    Latched topics are latched again. The time is told on /clock: the recorded one, or where there is none that of the
    recording. While it plays, ros2 param set /player position 12.5 goes on there, and rate changes the speed.

    Args:
        bag: its folder.
        remap: other names for topics, such as /action_chunk:=/recorded/action_chunk.
    """
    from substep_bags.player_node import play

    return play(bag, settings, remap)


def rerun(
    bag: Path,
    /,
    *,
    settings: Annotated[RerunSettings, Flat] = RerunSettings(),
    out: Path | None = None,
    command_line: CommandLine,
) -> int:
    """Ask a policy, switch rules and decomposers again what a bag has recorded, and compare decision by decision.

    Nothing moves: each recorded request gets another answer, as fast as that computes. The same checkpoint gives its
    recorded chunks again, bit for bit, on the same type of machine. Exit code 1: an action lies further from the
    recorded one than the tolerance, or a request was refused.

    Args:
        bag: its folder.
        out: folder for index.html, one page with plots and frames, and rerun.json; none: BAG_rerun beside the bag.
    """
    from training.rerun.command import rerun_and_report

    beside = bag.resolve().with_name(f"{bag.resolve().name}_rerun")
    report = rerun_and_report(bag, settings, out or beside, command_line, _say)
    show(report.table)
    print(report.page)
    if report.too_far:
        _say(report.too_far)
    return 1 if report.too_far else 0


def repair(bag: Path, /) -> None:
    """Make a bag readable whose recorder was killed, or whose disk was full.

    All that was written is kept. Bags in MCAP only; a bag that is whole stays as it is in content.

    Args:
        bag: its folder.
    """
    from substep_bags.repair import repair

    done = repair(bag)
    print(f"{done.messages} messages in {bag}")
    for file in done.damaged:
        print(f"{file} was damaged: what came after its last whole chunk is lost")


def _say(line: str) -> None:
    show(line, sys.stderr)

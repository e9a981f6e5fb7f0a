"""Names of an evaluation's episodes, and their distribution over jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from substep_core.episode import Placement
from substep_core.tasks import TaskSource
from substep_planner.manager.switch_rules import make_switch_rule
from training.evaluation.probes import PROBES, BoundaryProbe
from training.evaluation.settings import EpisodeSettings, Selection

NO_RULE = ""  # of a probe in which nothing is switched


@dataclass(frozen=True)
class EpisodeKey:
    """What tells episodes apart. ``number`` gives initial state and seed."""

    suite: str
    task: int
    probe: str
    rule: str
    placement: str
    number: int

    @property
    def name(self) -> str:
        """For files."""
        parts = (self.suite, self.task, self.probe, self.rule, self.placement, self.number)
        return "_".join(str(part) for part in parts if part != NO_RULE)


@dataclass(frozen=True)
class Job:
    """Episodes of one task, played by one process after the other.

    Attributes:
        filmed: of them.
        recorded: each leaves a bag.
    """

    settings: EpisodeSettings
    suite: str
    task: int
    episodes: tuple[EpisodeKey, ...]
    filmed: frozenset[EpisodeKey] = frozenset()
    recorded: bool = False


def planned(selection: Selection, source: TaskSource) -> Iterator[EpisodeKey]:
    """Every episode of a selection, task by task."""
    for suite, task in selection.places(source):
        for probe in selection.probes:
            for rule in rules_of(probe, selection):
                for placement in selection.placements:
                    for number in _numbers(probe, selection):
                        yield EpisodeKey(suite, task, probe, rule, placement.value, number)


def rules_of(probe: str, selection: Selection) -> tuple[str, ...]:
    """The switch rules that a probe is played under."""
    if isinstance(PROBES[probe], BoundaryProbe):
        return (NO_RULE,)
    if PROBES[probe].all_rules:
        return selection.switch_rules
    blind = [rule for rule in selection.switch_rules if not make_switch_rule(rule).uses_vision]
    return (blind[0] if blind else "eos",)


def jobs(
    settings: EpisodeSettings,
    selection: Selection,
    done: Collection[EpisodeKey],
    most: int = 40,
    wanted: Iterable[EpisodeKey] | None = None,
) -> list[Job]:
    """What is still to be played, suite by suite: a policy with statistics of several is loaded anew for another one.

    Args:
        wanted: of the selection; None: all of it.
        most: episodes of a job; building a world takes as long as a short episode.
    """
    by_task: dict[tuple[str, int], list[EpisodeKey]] = {}
    for key in planned(selection, settings.source) if wanted is None else wanted:
        if key not in done:
            by_task.setdefault((key.suite, key.task), []).append(key)
    suites = list(dict.fromkeys(suite for suite, _ in by_task))
    ordered = sorted(by_task.items(), key=lambda item: suites.index(item[0][0]))
    return [
        Job(settings, suite, task, part, frozenset(key for key in part if is_filmed(key, selection)), selection.record)
        for (suite, task), keys in ordered
        for part in (tuple(keys[first : first + most]) for first in range(0, len(keys), most))
    ]


def is_filmed(key: EpisodeKey, selection: Selection) -> bool:
    """The first episodes of the policy itself."""
    return key.probe == "policy" and key.number < selection.first + selection.videos


def _numbers(probe: str, selection: Selection) -> range:
    count = selection.episodes if probe == "policy" else selection.probe_episodes
    return range(selection.first, selection.first + count)


def placement_of(key: EpisodeKey) -> Placement:
    return Placement(key.placement)

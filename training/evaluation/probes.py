"""Probes: baselines without the policy, and the policy with other instructions.

A probe says who acts, on which plan, and in which words. Add one here and it can be named on the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from training.data.paraphrases import held_out_wordings


class Actor(Enum):
    """Who acts."""

    POLICY = "the policy"
    DEMONSTRATOR = "the scripted demonstrator, which sees the world's ground truth"
    REPLAY = "the recorded actions of one demonstration, open loop"


class Told(Enum):
    """Whose instruction is carried out."""

    OWN = "the task's own"
    REWORDED = "the same in other words"
    OTHERS_WORDS = "the same in words that others wrote"
    OTHER = "another task's of the suite"


Wording = Callable[[str, int], str]  # (substep's text, episode's number) -> what the actor is told


def as_planned(text: str, episode: int) -> str:
    """The plan's words."""
    return text


def no_words(text: str, episode: int) -> str:
    """Nothing at all."""
    return ""


def held_out_wording(text: str, episode: int) -> str:
    """A wording that training never uses, another one each episode; the plan's words where there is none."""
    wordings = held_out_wordings(text)
    return wordings[episode % len(wordings)] if wordings else text


@dataclass(frozen=True)
class TaskProbe:
    """Episodes of a task.

    Attributes:
        description: for the report.
        decomposers: who makes the plan, names of the planner's registry; none: as the evaluation has them.
        words: what the actor is told in place of the plan's texts.
        judged: whether the plan's substeps are those of the task, so that advances can be judged.
        all_rules: played under every switch rule.
        compared: whether the substeps carried out are compared with the library's, which then are the plan.
    """

    description: str
    actor: Actor = Actor.POLICY
    told: Told = Told.OWN
    decomposers: tuple[str, ...] = ()
    words: Wording = as_planned
    judged: bool = True
    all_rules: bool = False
    compared: bool = False

    @property
    def needs_words(self) -> bool:
        """Only a policy whose model names substeps can play it."""
        return self.decomposers == OWN_WORDS

    @property
    def needs_more(self) -> bool:
        """It needs what not every evaluation has: words of the policy's own, or sentences that others wrote."""
        return self.needs_words or self.told is Told.OTHERS_WORDS

    @property
    def through_graph(self) -> bool:
        """Whether the ROS graph can play it: its planner hands on the plan's own words."""
        return self.actor is not Actor.REPLAY and self.words is as_planned


@dataclass(frozen=True)
class BoundaryProbe:
    """The policy's EOS along the demonstrator's way, against the demonstrator's own."""

    description: str
    through_graph: bool = False
    needs_words: bool = False
    needs_more: bool = False


Probe = TaskProbe | BoundaryProbe
WHOLE_TASK, RULES, OWN_WORDS = ("whole_task",), ("rules",), ("policy",)

PROBES: Mapping[str, Probe] = MappingProxyType(
    {
        "policy": TaskProbe("the policy, told the plan's substeps", all_rules=True),
        "oracle": TaskProbe("the scripted demonstrator, told the same", Actor.DEMONSTRATOR),
        "replay": TaskProbe(
            "one demonstration of the task played open loop", Actor.REPLAY, decomposers=WHOLE_TASK, judged=False
        ),
        "whole_task": TaskProbe("the policy, told the whole task's instruction", decomposers=WHOLE_TASK, judged=False),
        "no_words": TaskProbe("the policy, told nothing while the plan goes on", words=no_words),
        "other_task": TaskProbe("the policy, told the substeps of another task", told=Told.OTHER, judged=False),
        "wordings": TaskProbe("the policy, told the substeps in words never trained on", words=held_out_wording),
        "reworded": TaskProbe(
            "the policy, on a plan made by rules of another wording",
            told=Told.REWORDED,
            decomposers=RULES,
        ),
        "others_words": TaskProbe(
            "the policy, told its task in words that others wrote for it", told=Told.OTHERS_WORDS, judged=False
        ),
        "own_subtasks": TaskProbe(
            "the policy, on the substeps that its own model names", decomposers=OWN_WORDS, compared=True
        ),
        "eos": BoundaryProbe("the policy's EOS along the demonstrator's way"),
    }
)

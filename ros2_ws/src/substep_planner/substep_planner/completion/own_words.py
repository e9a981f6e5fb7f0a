"""The policy's own words as a judge: a substep is done when the policy names another one as what comes next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from substep_core.language.phrases import PhraseError
from substep_core.language.reader import parse
from substep_core.named_substep import TASK_DONE, NamedSubstep
from substep_core.plan import Substep
from substep_planner.completion.registry import CompletionSettings
from substep_planner.completion.unread import NOT_DONE
from substep_planner.decomposers.own_words import in_shared_words


class OwnWordsScorer:
    """How sure the policy is of other words than the substep's; 0 where it says the same, or nothing that is a motion.

    It looks through its own cameras; the frames of ``camera`` say when it is asked.
    """

    name = "policy"
    threshold = 0.5

    def __init__(self, ask_policy: Callable[[], NamedSubstep], camera: str) -> None:
        self.cameras = (camera,)
        self._ask = ask_policy
        self._instructions: list[str] = []

    def begin_plan(self, substeps: Sequence[Substep]) -> None:
        """See ``CompletionScorer``."""
        self._instructions = [_shared(substep.instruction) for substep in substeps]

    def score(self, images: Mapping[str, np.ndarray], index: int) -> float:
        """See ``CompletionScorer``. Raises: PlanningError: the policy does not answer."""
        named = self._ask()
        if named.is_complete and named.text == TASK_DONE:
            return named.probability
        try:
            is_other = in_shared_words(named).instruction != self._instructions[index]
        except PhraseError:
            return NOT_DONE
        return named.probability if is_other else NOT_DONE


def _shared(instruction: str) -> str:
    """In the shared words, where it is a motion at all."""
    try:
        return parse(instruction).text
    except PhraseError:
        return instruction


def create(settings: CompletionSettings) -> OwnWordsScorer:
    """Raises: ValueError: there is no policy to ask."""
    if settings.ask_policy is None:
        raise ValueError("there is no policy to ask: it runs in a graph or evaluation")
    return OwnWordsScorer(settings.ask_policy, settings.camera)

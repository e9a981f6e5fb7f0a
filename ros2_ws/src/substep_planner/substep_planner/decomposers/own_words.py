"""The policy's own words as a plan that grows: one substep at a time, by what the policy sees when it is asked."""

from __future__ import annotations

from substep_core.errors import ErrorCode, PlanningError
from substep_core.language.effects import substep
from substep_core.language.phrases import PhraseError
from substep_core.language.reader import parse
from substep_core.named_substep import TASK_DONE, NamedSubstep
from substep_core.plan import MAX_SUBSTEPS, Plan, PlanFormatError, Substep
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_planner.decomposers.plan_checks import missing_things
from substep_planner.decomposers.registry import DecomposerSettings

MOST_TIMES = 3  # that one substep is done in a task: a grasp may miss, and the policy sees it


class OwnWordsDecomposer:
    """Asks the policy what comes next, and takes its word if it is a substep that can be carried out here."""

    name = "policy"
    wants_picture = False

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """See ``Decomposer``. The plan has one substep and is open."""
        if request.ask_policy is None:
            raise PlanningError(ErrorCode.BACKEND_FAILED, "there is no policy to ask: it runs in a graph or evaluation")
        if request.must_be_whole:  # so it is not asked in vain
            raise PlanningError(ErrorCode.NO_PLAN, "it names one substep at a time, and the whole plan is wanted")
        named = request.ask_policy()
        if named.is_complete and named.text == TASK_DONE:
            if not request.done:
                raise _refused(named, "and nothing was done yet")
            return SourcedPlan(None, self.name)
        try:
            plan = Plan(request.instruction, (in_shared_words(named),))
        except (PhraseError, PlanFormatError) as error:
            raise _refused(named, f"which is not a single motion: {error}") from error
        self._check(named, plan, request)
        return SourcedPlan(plan, self.name, is_open=True)

    def _check(self, named: NamedSubstep, plan: Plan, request: PlanRequest) -> None:
        """Raises: PlanningError: things that are not there, or no end of it."""
        if missing := missing_things(plan, request.objects):
            raise _refused(named, f"and the scene has no {', no '.join(missing)}")
        times = sum(step.instruction == plan.substeps[0].instruction for step in request.done)
        if times >= MOST_TIMES:
            raise _refused(named, f"which was done {times} times already")
        if len(request.done) >= MAX_SUBSTEPS:
            raise _refused(named, f"after {len(request.done)} substeps, the most that a task may have")


def in_shared_words(named: NamedSubstep) -> Substep:
    """The words as a substep of a plan. Raises: PhraseError: they are no single motion, or do not come to an end."""
    if not named.is_complete:
        raise PhraseError("the words do not come to an end")
    return substep(parse(named.text))


def _refused(named: NamedSubstep, why: str) -> PlanningError:
    return PlanningError(ErrorCode.INVALID_PLAN, f"the policy says {named.text!r}, {why}")


def create(settings: DecomposerSettings) -> OwnWordsDecomposer:
    return OwnWordsDecomposer()

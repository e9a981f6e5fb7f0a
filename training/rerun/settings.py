"""What a rerun asks, and of whom."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from substep_core.configuration import configuration
from substep_planner.completion.registry import NO_SCORER, check_scorer
from substep_planner.decomposers.registry import DECOMPOSERS
from substep_planner.manager.switch_rules import SWITCH_RULES


@configuration
class CompletionAsked:
    """scorer: the completion scorer that looks at the frames; none: nobody looks. The rest is as in the run."""

    scorer: str = NO_SCORER


@configuration
class RerunSettings:
    """What is asked again. Everything else is as the bag says that the run's nodes were told.

    Attributes:
        policy: a policy's name, the folder of a checkpoint, or a hub id; none: the run's own.
        switch_rules: whose ends of substeps are noted; none: the run's own, and with a scorer those that look.
        completion: who looks at the frames.
        decomposers: who is asked for a plan of each task.
        device: auto (a GPU where there is one), cpu, cuda or cuda:N; none: as in the run.
        eos_threshold: probability that ends a substep; none: as in the run.
        tolerance: the largest difference of actions that is no failure, as a part of their group's range; none: any.
        namespace: of the graph, where the bag holds several.
    """

    policy: str | None = None
    switch_rules: tuple[str, ...] = ()
    completion: CompletionAsked = CompletionAsked()
    decomposers: tuple[str, ...] = ()
    device: str | None = None
    eos_threshold: Annotated[float | None, Field(ge=0, le=1)] = None
    tolerance: Annotated[float | None, Field(ge=0)] = None
    namespace: str | None = None

    def __post_init__(self) -> None:
        for name in self.switch_rules:
            SWITCH_RULES.check(name)
        check_scorer(self.completion.scorer)
        for name in self.decomposers:
            DECOMPOSERS.check(name)

"""Other wordings of LIBERO's instructions, planned by rules and carried out by the demonstrator.

``python -m training.evaluate_paraphrases --sample 24``
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import load_task, task_names
from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers
from substep_planner.paraphrases import shipped_paraphrases
from substep_planner.switch_rules import make_switch_rule
from substep_policy.demonstrator import Demonstrator
from training.evaluation.lockstep import LockstepTask, TaskResult, TaskSettings
from training.intervals import wilson


def draw(count: int, seed: int, suites: Sequence[str]) -> list[tuple[str, int, str]]:
    """``count`` wordings drawn without replacement, as (suite, task index, wording)."""
    wordings = [
        (suite, index, wording)
        for suite in suites
        for index, instruction in _instructions(suite)
        for wording in shipped_paraphrases().get(suite, {}).get(instruction, [])
    ]
    return random.Random(seed).sample(wordings, min(count, len(wordings)))


def play(suite: str, index: int, wording: str, init_state: int) -> TaskResult:
    """One episode of the task, with the plan that the rules make of the wording."""
    simulation = Simulation(SimulationConfig(suite, index, render=False))
    settings = TaskSettings(load_decomposers(("rules",), DecomposerSettings()), wording)
    task = LockstepTask(simulation, simulation.reset(init_state), Demonstrator(), make_switch_rule("eos"), settings)
    result = task.run()
    simulation.close()
    return result


def _instructions(suite: str) -> list[tuple[int, str]]:
    """Each instruction once: where scenes share one, the first of them stands for all."""
    first: dict[str, int] = {}
    for index in range(len(task_names(suite))):
        first.setdefault(load_task(suite, index).instruction, index)
    return [(index, instruction) for instruction, index in first.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=24, help="wordings to carry out (default: 24)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--suite", nargs="+", default=["libero_spatial", "libero_object", "libero_goal", "libero_10"])
    parser.add_argument("--init-state", type=int, default=0, help="benchmark initial state of every episode")
    options = parser.parse_args(arguments)
    results = []
    for suite, index, wording in draw(options.sample, options.seed, options.suite):
        results.append(play(suite, index, wording, options.init_state))
        verdict = "ok    " if results[-1].success else "failed"
        print(
            f"{verdict} {suite} {index}: {wording} ({results[-1].steps} steps, {results[-1].finish.message})",
            flush=True,
        )
    succeeded = sum(result.success for result in results)
    low, high = wilson(succeeded, len(results))
    print(f"{succeeded} of {len(results)} succeeded ({low:.0%} to {high:.0%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prints the plan for an instruction: ``./substep plan "put both mugs on the plate"``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.registry import DECOMPOSERS, DEFAULT_ORDER, DecomposerSettings, load_decomposers
from substep_planner.errors import PlanningError
from substep_planner.plan import PlanFormatError, steps_to_json


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="substep plan", description="Print the plan for an instruction.")
    parser.add_argument("instruction", help='e.g. "put both mugs on the plate"')
    parser.add_argument("--suite", default="", help="the suite that the instruction belongs to, e.g. libero_10")
    parser.add_argument(
        "--decomposers",
        nargs="+",
        default=list(DEFAULT_ORDER),
        metavar="NAME",
        help=f"who is asked, in this order: {', '.join(DECOMPOSERS)} (default: {' '.join(DEFAULT_ORDER)})",
    )
    parser.add_argument("--library", default="", metavar="FILE", help="a plan file instead of the shipped one")
    models = parser.add_argument_group("language models")
    default = DecomposerSettings()
    models.add_argument("--model", default="", help="hub id, folder or the server's name for it")
    models.add_argument(
        "--url", default=default.openai_url, help=f"of an OpenAI-compatible server ({default.openai_url})"
    )
    models.add_argument("--device", default=default.device, help="auto, cpu, cuda or cuda:N (default: auto)")
    models.add_argument("--prompt", default="", metavar="FILE", help="a prompt file instead of the shipped one")
    models.add_argument("--cache", default="", metavar="FOLDER", help="keep plans there")
    parser.add_argument("--json", action="store_true", help="print the steps as in APD_plans.json")
    return parser


def _settings(options: argparse.Namespace) -> DecomposerSettings:
    default = DecomposerSettings()
    return DecomposerSettings(
        library=options.library,
        prompt=options.prompt,
        plan_cache=options.cache,
        transformers_model=options.model or default.transformers_model,
        device=options.device,
        openai_url=options.url,
        openai_model=options.model or default.openai_model,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a plan, and on stderr who made it and who was passed over.

    Returns:
        The exit code: 0, or 1 where there is no plan.
    """
    options = _parser().parse_args(arguments)
    try:
        decomposers = load_decomposers(options.decomposers, _settings(options))
        result = decompose(PlanRequest(options.instruction, options.suite), decomposers)
    except PlanningError as error:
        print(f"{error.code.name}: {error}", file=sys.stderr)
        return 1
    except (PlanFormatError, ValueError, OSError) as error:
        print(f"substep plan: {error}", file=sys.stderr)
        return 1
    for remark in result.remarks:
        print(f"note: {remark}", file=sys.stderr)
    print(f"plan by {result.sourced.source}", file=sys.stderr)
    steps = steps_to_json(result.sourced.plan.substeps)
    if options.json:
        print(json.dumps(steps, indent=2, ensure_ascii=False))
    else:
        for step in steps:
            print(f"{step['step']}. {step['subgoal']}\n     seen when done: {step['expected_effect']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

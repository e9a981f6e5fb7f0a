"""A rerun's findings as plain data, and as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from substep_core.contract import RobotContract
from training.evaluation.provenance import provenance
from training.rerun.compare import Comparison, EosView, eos_words
from training.rerun.rerun import RerunRow, Result
from training.rerun.switching import SubstepEnds, SwitchMoment

MILLI = {"m": ("mm", 1e3), "rad": ("mrad", 1e3)}  # what people read


def as_data(result: Result, command: str) -> dict[str, Any]:
    """The content of rerun.json. A share is a part of a group's range; steps are control steps of the episode."""
    run = result.run
    return {
        "made": provenance(command),
        "bag": {"path": str(run.bag.path), "seconds": run.seconds, "about": dict(run.bag.bag.about)},
        "robot": {"name": run.robot.name, "rate": run.robot.rate},
        "policy": result.policy.policy.name,
        "recorded_policies": sorted({answer.model for answer in run.answers.values()}),
        "summary": {
            "recorded": len(run.answers),
            "decisions": len(result.rows),
            "same": result.same,
            "refused": sum(row.comparison is None for row in result.rows),
            "largest_share": _finite(result.furthest),
            "seconds": result.seconds,
            "times_faster": run.seconds / result.seconds if result.seconds else None,
            "inference_s": _median([row.rerun.inference_time for row in result.rows]),
            "recorded_inference_s": _median([answer.inference_time for answer in run.answers.values()]),
        },
        "substeps": substep_rows(result),
        "decisions": [_decision(row, run.robot) for row in result.rows],
        "switches": [_switch(visit) for visit in result.ends],
        "plans": [
            {"task": plan.task, "source": plan.source, "substeps": list(plan.instructions), "same": plan.same}
            | ({"problem": plan.problem} if plan.problem else {})
            for plan in result.plans
        ],
        "shown": list(result.frames),
    }


def substep_rows(result: Result) -> list[dict[str, Any]]:
    """For every substep, and attempt at it, how far the policies lie apart in it."""
    by_key: dict[Any, list[RerunRow]] = {}
    for row in result.rows:
        by_key.setdefault(row.rerun.decision.key.substep, []).append(row)
    return [
        {
            "plan_id": key.plan_id,
            "index": key.index,
            "attempt": key.attempt,
            "instruction": rows[0].rerun.decision.work.substep.instruction,
            "first_step": rows[0].rerun.decision.step,
            "decisions": len(rows),
            "same": sum(row.comparison is not None and row.comparison.same for row in rows),
            "largest": _largest(rows),
            "largest_share": _finite(max(row.share for row in rows)),
            "eos_recorded": _ending(row.comparison.recorded_eos for row in rows if row.comparison),
            "eos_new": _ending(row.comparison.new_eos for row in rows if row.comparison),
        }
        for key, rows in by_key.items()
    ]


def table(result: Result, data: Mapping[str, Any]) -> str:
    """What is printed."""
    summary = data["summary"]
    lines = [
        f"{data['policy']} at the {summary['decisions']} decisions of {', '.join(data['recorded_policies'])}",
        f"{summary['same']} chunks are the same bit for bit; {_speed(summary)}",
        "",
        *_columns(_substep_lines(result, data["substeps"])),
    ]
    if data["switches"]:
        lines += ["", "where each rule leaves the substeps, in control steps of the episode:"]
        lines += _columns(_switch_lines(data))
    for plan in data["plans"]:
        words = plan.get("problem") or "; ".join(plan["substeps"])
        lines += ["", f"{plan['task']}: plan {plan['source']}{'' if plan['same'] else ' (another)'}: {words}"]
    return "\n".join(lines)


def readable(value: float, unit: str) -> str:
    """ "12.3 mm"; a gripper's value as it is."""
    name, factor = MILLI.get(unit, (unit, 1.0))
    return f"{value * factor:.3g} {name}".strip()


def _substep_lines(result: Result, rows: list[dict[str, Any]]) -> Iterable[list[str]]:
    groups = result.run.robot.action
    yield ["substep", "decisions", "same", *(f"{group.name}, largest" for group in groups), "EOS recorded", "EOS now"]
    for row in rows:
        again = f" (attempt {row['attempt'] + 1})" if row["attempt"] else ""
        name = f"{row['index'] + 1} {row['instruction']}{again}"
        distances = [readable(row["largest"][group.name], group.unit) if row["largest"] else "–" for group in groups]
        yield [name, str(row["decisions"]), str(row["same"]), *distances, row["eos_recorded"], row["eos_new"]]


def _switch_lines(data: Mapping[str, Any]) -> Iterable[list[str]]:
    visits = data["switches"]
    yield ["rule", *(f"{visit['index'] + 1} {visit['instruction']}" for visit in visits)]
    yield ["the run", *(f"{visit['began']['step']} to {_step(visit['left'], 'the end')}" for visit in visits)]
    for name in visits[0]["ends"]:
        yield [name, *(_step(visit["ends"][name], "–", cause=True) for visit in visits)]


def _step(moment: Mapping[str, Any] | None, otherwise: str, cause: bool = False) -> str:
    if moment is None:
        return otherwise
    return f"{moment['step']} ({moment['cause']})" if cause else str(moment["step"])


def _columns(rows: Iterable[list[str]]) -> list[str]:
    rows = list(rows)
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _speed(summary: Mapping[str, Any]) -> str:
    times = summary["times_faster"]
    return f"{summary['seconds']:.1f} s" + (f", {times:.1f} times as fast as the run was" if times else "")


def _decision(row: RerunRow, robot: RobotContract) -> dict[str, Any]:
    decision = row.rerun.decision
    said = {
        "number": decision.number,
        "stamp_ns": decision.key.stamp,
        "step": decision.step,
        "episode": decision.key.episode,
        "plan_id": decision.key.substep.plan_id,
        "substep": decision.key.substep.index,
        "attempt": decision.key.substep.attempt,
        "steps_played": decision.steps_played,
        "inference_s": row.rerun.inference_time,
    }
    if row.comparison is None:
        return said | {"refusal": row.rerun.refusal}
    return said | _compared(row.comparison, robot)


def _compared(found: Comparison, robot: RobotContract) -> dict[str, Any]:
    return {
        "same": found.same,
        "share": found.share,
        "distances": {group.group: {"unit": group.unit, "steps": list(group.steps)} for group in found.groups},
        "eos": {
            name: {"probability": view.probability, "index": view.index}
            for name, view in (("recorded", found.recorded_eos), ("new", found.new_eos))
        },
    }


def _switch(visit: SubstepEnds) -> dict[str, Any]:
    return {
        "plan_id": visit.key.plan_id,
        "index": visit.key.index,
        "instruction": visit.instruction,
        "began": _moment(visit.began),
        "left": _moment(visit.left),
        "ends": {f"{rule}, {whose} EOS": _moment(moment) for (rule, whose), moment in visit.ends.items()},
    }


def _moment(moment: SwitchMoment | None) -> dict[str, Any] | None:
    return None if moment is None else {"step": moment.step, "stamp_ns": moment.stamp, "cause": moment.cause}


def _largest(rows: list[RerunRow]) -> dict[str, float]:
    """Group -> largest distance, in its unit; empty where there was no chunk at all."""
    found: dict[str, float] = {}
    for group in (group for row in rows if row.comparison for group in row.comparison.groups):
        found[group.group] = max(group.largest, found.get(group.group, 0.0))
    return found


def _ending(views: Iterable[EosView]) -> str:
    """The first chunk with an end, else the largest probability."""
    views = list(views)
    ended = next((number for number, view in enumerate(views) if view.index >= 0), None)
    if ended is not None:
        return f"chunk {ended + 1}: {eos_words(views[ended])}"
    known = [view for view in views if view.probability is not None]
    return eos_words(max(known, key=lambda view: view.probability)) if known else "–"


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

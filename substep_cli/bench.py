"""``./substep bench …``: how fast things are here, and how good completion scorers are."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from substep_bridge.joining import JoiningSettings
from substep_cli.changes import Changes, read_changes
from substep_cli.grammar import CommandFailed, UsageError
from substep_cli.options import (
    Assets,
    CommandLine,
    Count,
    Device,
    Flat,
    ImageSize,
    Json,
    Robot,
    Suite,
    Suites,
    Task,
    Tasks,
    Workers,
)
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_planner.completion.registry import DEFAULT_SCORER
from substep_planner.decomposers.registry import DEFAULT_ORDER
from substep_policy.guidance_settings import GuidanceSettings
from substep_policy.registry import DEFAULT_POLICY, PolicySettings
from training.bench.robot.settings import GraphBenchSettings, PaceSettings, RobotBenchSettings, RobotSelection
from training.evaluation.settings import EpisodeSettings, Selection

Seconds = Annotated[float, Parameter(validator=Number(gte=0, lte=60))]


@contextlib.contextmanager
def _own_graph() -> Iterator[None]:
    """No other graph on this machine is heard, or hears. Raises: CommandFailed: it does not come up."""
    from substep_bringup.domain import isolation

    with isolation(os.environ) as variables:
        os.environ.update(variables)
        try:
            yield
        except RuntimeError as error:
            raise CommandFailed(str(error)) from error


def simulation(
    *, suite: Suite = "libero_object", task: Task = 0, steps: Count = 200, assets: Assets = "embedded"
) -> None:
    """Time the simulated world beside LIBERO's own loop on the same task.

    Args:
        steps: control steps to measure.
    """
    from libero_bridge.benchmarks.simulation_speed import run

    run(suite, task, steps, assets)


def graph(*, suite: Suite = "libero_object", task: Task = 0, steps: Count = 200, assets: Assets = "embedded") -> None:
    """Time the loop through ROS in lockstep beside the same loop in one process.

    Args:
        steps: control steps to measure.
    """
    from training.bench.graph_speed import run

    with _own_graph():
        run(suite, task, steps, assets)


def record(
    *,
    suite: Suite = "libero_object",
    task: Task = 0,
    assets: Assets = "embedded",
    clock: Literal["lockstep", "realtime"] = "lockstep",
    image_size: ImageSize = (128, 128),
    images: tuple[Literal["raw", "jpeg"], ...] = ("raw", "jpeg"),
    compression: Literal["zstd", "lz4", "none"] = "zstd",
    steps: Count = 200,
    rounds: Count = 6,
    minutes: Annotated[float, Parameter(validator=Number(gte=0))] = 0.0,
    json: Json = None,
    command_line: CommandLine,
) -> None:
    """Time a graph with a recorder beside the same graph without one, by turns.

    A lockstep graph waits for every message, so that whatever a recorder takes is seen; at a robot's rate there is
    time to spare.

    Args:
        clock: lockstep as fast as it goes, or realtime at the robot's rate.
        images: how cameras are recorded.
        compression: of the bags' chunks.
        steps: control steps of each stretch.
        rounds: recordings of each kind; the speed's interval takes six.
        minutes: of wall time that the first kind goes on at the end, to see the recorder's memory.
    """
    from libero_bridge.tasks import LiberoSource
    from training.bench.recording import RecordSettings, benchmark

    settings = RecordSettings(suite, task, assets, clock, image_size, images, compression, steps, rounds, minutes)
    LiberoSource().task(suite, task)  # what is not there is known before anything starts
    with _own_graph():
        figures = benchmark(settings, command_line)
    print(figures)
    if json is not None:
        json.write_text(figures.to_json() + "\n")


def episodes(
    *,
    settings: Annotated[EpisodeSettings, Flat] = EpisodeSettings(),
    selection: Annotated[Selection, Flat] = Selection(),
    json: Json = None,
    command_line: CommandLine,
) -> None:
    """Count an evaluation's episodes per hour of one core, and what their time goes into.

    Plays the selection as ./substep eval does, in this process, and keeps nothing. Times are processor time.
    """
    from training.bench.episodes import bench

    figures = bench(settings, selection, command_line)
    print(figures)
    if json is not None:
        json.write_text(figures.to_json() + "\n")


def robot(
    *,
    settings: Annotated[RobotBenchSettings, Flat] = RobotBenchSettings(),
    selection: Annotated[RobotSelection, Flat] = RobotSelection(),
    out: Path,
    command_line: CommandLine,
) -> None:
    """Play episodes on the stand-in robot, which does not wait, beside simulation, which does.

    Driver, controller, limits and cameras are the stand-in's, planner and chunk player those of the graph, all in one
    process and in a time of its own: chunks come after the time that is said, however long they take to compute here.
    The same command again plays only the episodes that are missing.

    Args:
        out: folder of the results.
    """
    from training.bench.robot.bench import bench, table

    print(table(bench(settings, selection, out, command_line)))


def real(
    *,
    settings: Annotated[GraphBenchSettings | None, Flat] = None,
    selection: Annotated[RobotSelection, Flat] = RobotSelection(joinings=("in_turn", "blend")),
    out: Path,
    command_line: CommandLine,
) -> None:
    """Play episodes on the stand-in robot through the running graph, in real time.

    Success by joining rule and added latency of the policy. A graph is kept up over the episodes of a task, rule and
    latency. The same command again plays only the episodes that are missing.

    Args:
        out: folder of the results, and of the graphs' logs.
    """
    from training.bench.robot.bench import table
    from training.bench.robot.real import bench_real

    with _own_graph():
        records = bench_real(settings or GraphBenchSettings(), selection, out, command_line)
    print(table(records))


def pace(
    *,
    settings: Annotated[PaceSettings | None, Flat] = None,
    out: Path,
    json: Json = None,
    command_line: CommandLine,
) -> None:
    """Time the commands that leave for the stand-in robot, and watch the memory of the graph's processes.

    Args:
        out: new folder, for logs and the bag.
    """
    from training.bench.robot.pace import benchmark

    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty: name another folder")
    with _own_graph():
        figures = benchmark(settings or PaceSettings(), out, command_line)
    print(figures)
    if json is not None:
        json.write_text(figures.to_json() + "\n")


def policy(
    *,
    model: Literal["random-openvla", "random-toy", "random-compact"] | None = None,
    robot: Robot = LIBERO_PANDA,
    variants: tuple[str, ...] = (),
    repeats: Count = 100,
    threads: Count = 1,
    device: Device = "auto",
    json: Json = None,
) -> int:
    """Time a chunk of a network with random weights, in every way to run it; checkpoint latency times a trained one.

    The instruction is prepared once a substep and timed apart. An OpenVLA is timed in several ways beside each other,
    the first of which is how the published code does it. A way that fails has its reason in its row, and the exit code
    is then 1; the others are timed all the same.

    Args:
        model: OpenVLA-OFT at its published size or at a toy size, or the compact model; none: the published size where
            there is a GPU, else the toy size.
        variants: ways to run an OpenVLA; none: all that the device can do.
        repeats: chunks that are timed.
        threads: of the CPU.
    """
    import torch

    from substep_policy.benchmarks.random_latency import benchmark_random

    torch.set_num_threads(threads)
    report = benchmark_random(model, load_robot(robot), variants, device, repeats)
    print(report)
    if json is not None:
        json.write_text(report.to_json() + "\n")
    if report.failures:
        print(f"{len(report.failures)} of {len(report.rows)} variants failed", file=sys.stderr)
    return 1 if report.failures else 0


def arm(*, chunks: Count = 1_000_000, adapters: tuple[str, ...] = (), seed: int = 0, workers: Workers = 1) -> int:
    """Play arbitrary chunks through the adapters of real arms, and hold every command that leaves against the limits.

    Chunks are smooth, jumping, huge, not finite, replayed, reversed, and cut off where the rest would come too late.

    Args:
        chunks: of all adapters together.
        adapters: which; none: all of the project's.
        seed: of the first thousands of chunks; those after it count up.
    """
    from itertools import groupby

    from tqdm import tqdm

    from arm_bridge.bench import ADAPTERS, LimitBroken
    from arm_bridge.bench_parts import parts, play_parts, together

    names = adapters or tuple(ADAPTERS)
    if unknown := [name for name in names if name not in ADAPTERS]:
        raise UsageError(f"unknown adapter {unknown[0]!r}: expected one of {', '.join(ADAPTERS)}")
    todo = parts(names, chunks, seed)
    try:
        bar = tqdm(play_parts(todo, workers), total=len(todo), unit="part")
        for name, group in groupby(bar, key=lambda done: done[0].adapter):
            played = together([found for _, found in group])
            told = f"{played.chunks} chunks, {played.steps} control steps, {played.commands} commands"
            tqdm.write(f"{name}: {told}, {played.faults} faults; none beyond a limit")
    except LimitBroken as error:
        print(f"a command beyond a limit has left: {error}")
        return 1
    return 0


def joining(
    *,
    policy: str = DEFAULT_POLICY,
    chunk_length: Count = 8,
    joinings: tuple[str, ...] = ("in_turn", "replace", "ensemble", "blend"),
    latencies: tuple[Seconds, ...] = (0.0, 0.1, 0.15, 0.3, 0.8),
    suites: Suites = ("libero_object",),
    tasks: Tasks = None,
    episodes: Count = 1,
    settings: Annotated[JoiningSettings | None, Flat] = None,
    guidance: str = "gradient",
    json: Json = None,
    command_line: CommandLine,
) -> None:
    """Measure joining rules under latency: how often the arm stands still, how it jerks, whether tasks succeed.

    Time is simulated: inference takes as many control steps as is told, whatever the machine does.

    Args:
        policy: a policy's name, the folder of a checkpoint, or replay (what the demonstrator did).
        chunk_length: of replay.
        joinings: joining rules of the bridge.
        latencies: s of inference.
        episodes: of each task, rule and latency.
        guidance: of real_time_chunking.
    """
    from training.bench.joining import JoiningBench, benchmark

    told = JoiningBench(
        policy,
        joinings,
        latencies,
        suites,
        tasks or tuple(range(10)),
        episodes,
        chunk_length,
        settings or JoiningSettings(),
        PolicySettings(guidance=GuidanceSettings(guidance)),
    )
    report = benchmark(told, command_line)
    print(report)
    if json is not None:
        json.write_text(report.to_json() + "\n")


def planner(*, robot: Robot = LIBERO_PANDA) -> None:
    """Time what the planner does with what the cameras see, without the completion scorer's model."""
    from substep_planner.benchmark import run

    run(load_robot(robot))


def understanding(
    *,
    decomposers: tuple[str, ...] = DEFAULT_ORDER,
    libero_plus: Path | None = None,
    libero_pro: Path | None = None,
    leave_one_out: bool = False,
    reliability: bool = False,
    json: Json = None,
) -> None:
    """Count which sentences are planned right, planned wrong or refused, by source and suite, the scenes known.

    The project's own wordings, all instructions, forty of them in German, Spanish and Chinese, 160 sentences of
    everyday speech, 80 of people of several manners, and 200 that must be refused are always among them.

    Args:
        decomposers: who is asked, in this order, as for ./substep plan.
        libero_plus: folder of LIBERO-plus's BDDL files, SUITE/TASK_language_N.bddl.
        libero_pro: LIBERO-PRO's ood_language.yaml.
        leave_one_out: instead, take from the shipped model, for each suite, every word for the things that its tasks
            name, and count how LIBERO-plus's and LIBERO-PRO's sentences of that suite are planned then.
        reliability: also print how right readings are that the embedded language model is so sure of.
    """
    from itertools import chain

    from substep_planner.decomposers.grounding.decomposer import shipped_reader
    from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers
    from training.bench import sayings as said
    from training.bench import understanding as bench

    asked = load_decomposers(decomposers, DecomposerSettings())
    pro = said.pro_sayings(libero_pro) if libero_pro else ()
    others = [*pro, *(said.plus_sayings(libero_plus) if libero_plus else ())]
    if leave_one_out:
        for row in bench.leave_one_out(others, load_decomposers(("library", "rules"), DecomposerSettings())):
            print(row, flush=True)
        return
    spoken = chain(said.translated_sayings(), said.everyday_sayings(), said.manners_sayings())
    sayings = list(chain(said.own_sayings(), spoken, others))
    figures = bench.understanding(sayings, asked)
    print(figures)
    if reliability:
        for found in bench.reliabilities(sayings, shipped_reader("en"), seed=1000, drawn=1000):
            print(found)
    if json is not None:
        json.write_text(figures.to_json() + "\n")


def training(
    *,
    model: Literal["random-openvla", "random-toy"] | None = None,
    robot: Robot = LIBERO_PANDA,
    batch_size: Count = 8,
    rank: Count = 32,
    gradient_checkpointing: bool = True,
    repeats: Count = 20,
    json: Json = None,
) -> None:
    """Time a LoRA step of OpenVLA-OFT with random weights: samples a second and memory.

    Args:
        model: at its published size or at a toy size; none: the published size where there is a GPU, else the toy size.
        batch_size: samples of a step.
        rank: of the adapters.
        gradient_checkpointing: compute activations again instead of keeping them.
        repeats: steps that are timed.
    """
    import torch

    from training.bench.lora_step import benchmark

    try:
        report = benchmark(model, load_robot(robot), batch_size, rank, gradient_checkpointing, repeats)
    except torch.OutOfMemoryError as error:
        raise CommandFailed(f"a batch of {batch_size} does not fit: {error}") from error
    print(report)
    if json is not None:
        json.write_text(report.to_json() + "\n")


def speculative(
    *changes: Changes,
    checkpoint: Path | None = None,
    robot: Robot = LIBERO_PANDA,
    layer_count: Count = 8,
    chunks: Count = 100,
    threads: Count = 1,
    device: Device = "auto",
    json: Json = None,
) -> None:
    """Time speculative decoding of residual codes beside decoding layer by layer, and count what is accepted.

    Args:
        checkpoint: folder of a run with a draft, measured on the demonstrations held out; none: random weights, for
            the robot's actions.
        layer_count: layers of codes of random weights.
        chunks: that are decoded.
        threads: of the CPU.
        changes: of the configuration it was trained with, as for train policy: --data.cache FOLDER.
    """
    overrides = read_changes(changes)

    import torch

    from training.bench.speculative import benchmark

    torch.set_num_threads(threads)
    report = benchmark(checkpoint, load_robot(robot), layer_count, chunks, device, overrides)
    print(report)
    if json is not None:
        json.write_text(report.to_json() + "\n")


def action_tokenizer(
    tokenizer: Path,
    /,
    *,
    demonstrations: Path,
    layers: tuple[int, ...] = (),
    parts: tuple[str, ...] = ("all",),
    per_task: Count = 5,
    out: Path,
    workers: Workers = 1,
) -> None:
    """Replay recorded demonstrations through an action tokenizer: the ceiling of any policy that predicts its tokens.

    The same command again makes only the replays that are missing.

    Args:
        tokenizer: folder of ./substep train action-tokenizer.
        demonstrations: folder of ./substep data collect.
        layers: of residual codes that are kept, one replay each; none: every number.
        parts: what of the tokenizer's error is carried out, one replay each: all, an action group alone (its name), the
            normalisation alone (normalized), or the errors at other times of the same recording (noise).
        per_task: demonstrations of each task that are replayed.
        out: folder of the results.
    """
    from training.action_tokenizer.replay import replays

    print(replays(tokenizer, demonstrations, layers, per_task, out, workers, parts))


def completion(
    frames: Path,
    /,
    *,
    scorers: tuple[str, ...] = (DEFAULT_SCORER,),
    model: str = "",
    measure: str = "cosine",
    json: Json = None,
) -> None:
    """Measure how well completion scorers tell a substep that is done from one that is not, a line a suite.

    Args:
        frames: held-out episodes: ./substep data collect --split evaluation --widened 1, then data frames --every-step.
        scorers: compact, open_clip, transformers, or an installed one.
        model: of the scorer: hub id, folder or its own name; empty: its default.
        measure: of contrastive scorers: cosine or sigmoid.
    """
    from training.completion.evaluate import report

    report(frames, scorers, model, measure, json)

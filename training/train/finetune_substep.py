"""Trains a policy with an EOS head: ``./substep train policy CONFIG.yaml [--key.subkey VALUE …]``.

One step is a function of weights, optimizer, EOS buffer and step number alone, so a run that is stopped goes on as if
it had not been: the same command again continues from the last checkpoint. Several GPUs or machines:
``accelerate launch -m substep_cli train policy CONFIG.yaml``.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, DistributedType, PartialState
from accelerate.utils import DistributedDataParallelKwargs, ProjectConfiguration, set_seed
from torch.distributed.fsdp import register_fsdp_forward_method
from tqdm import tqdm

from substep_core.printable import PrintableFormatter
from substep_policy.eos import EosSource
from substep_policy.heads import ActionDecoder
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.normalization import ActionNormalizer, Statistics, load_statistics
from training.checkpoints.calibrate import calibrate, write_calibration
from training.data.build import TrainingData, initial_dataset, prepare_data
from training.data.paraphrases import Paraphrases
from training.data.prefetch import prefetch
from training.data.transform import Batch, BatchStream
from training.folder_lock import alone_in
from training.train import run_state
from training.train.config import CONFIG_FILE, FinetuneConfig, OptimizerConfig, changes, read_config
from training.train.models import model_training
from training.train.models.frozen_vision import frozen_vision
from training.train.models.heads import begin_anew
from training.train.objective import Losses, Objective, eos_distribution, gradient_norm, mean_losses

log = logging.getLogger("training")
step_log = logging.getLogger("training.steps")


@dataclass(frozen=True)
class StepReport:
    """What one step did: the losses of its batches (``mean_losses``) and the gradient norms before clipping, or a skip.

    Of several processes, the losses are this one's and the gradients are of all.
    """

    losses: Losses | None
    gradient_norm: float = math.nan
    eos_gradient_norm: float = math.nan

    @property
    def is_skipped(self) -> bool:
        return self.losses is None


@dataclass
class Run:
    """Everything a run holds. ``wrapped`` is ``objective`` as accelerate prepared it."""

    config: FinetuneConfig
    accelerator: Accelerator
    data: TrainingData
    stream: BatchStream
    objective: Objective
    wrapped: torch.nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    skipped: int = 0


def finetune(config: FinetuneConfig) -> Path:
    """Train to ``config.steps`` and calibrate; -> the folder of the last checkpoint.

    Raises:
        ValueError: data or checkpoint do not fit the configuration.
        BlockingIOError: another run is at work in ``config.out``.
    """
    with alone(config.out), run_log(config.out):
        run = start(config)
        if config.distribution_batches:
            log.info("%s", eos_distribution(run.stream.batch(number) for number in range(config.distribution_batches)))
        last = train(run)
        if run.data.held_out is not None and config.checkpoint_model().eos.source is not EosSource.NONE:
            calibrate_run(run, last)
        run.accelerator.end_training()
        return last


def start(config: FinetuneConfig) -> Run:
    """A new run, or one as a checkpoint left it (``run_state.checkpoint_to_resume``)."""
    accelerator = make_accelerator(config)
    set_seed(config.seed)
    resumed = run_state.checkpoint_to_resume(config)
    kind = model_training(config)
    new_heads = resumed is None and config.new_heads
    model = kind.build(resumed or config.initial_folder, new_heads)  # what does not fit is known at once
    if new_heads:
        begin_anew(model)
    run_state.check_room_for_checkpoints(config, model)
    with accelerator.main_process_first():
        data = prepare_data(config, resumed)
        if config.freeze_vision:
            network = kind.image_network(model, data.inputs)
            data = frozen_vision(config, network, data, accelerator.device)
    keeps_head = resumed is None and config.initial_folder is not None and not config.new_heads
    if keeps_head and config.data.action_bounds == "limits":
        before = load_statistics(config.initial_folder, initial_dataset(config.initial_folder, config.data.name))
        keep_meaning(model.decoder, before.action, data.statistics.action)
    if config.gradient_checkpointing:
        model.backbone.enable_gradient_checkpointing()
    normalizer = ActionNormalizer(config.data.robot, config.model.gripper, data.statistics.action)
    model.decoder.check_actions(normalizer)
    if resumed is not None:
        run_state.check_model(config, model, resumed)
    seed = config.seed + accelerator.process_index
    objective = Objective(model, config.eos, config.keyframe_weight, seed, config.objective)
    if objective.tokens is not None:
        objective.tokens.check_actions(normalizer)
    if resumed is not None:
        run_state.restore_auxiliary(objective, resumed)
    wrapped, optimizer = accelerator.prepare(
        objective, make_optimizer(objective, config.optimizer, config.mixed_precision)
    )
    # Sharded weights are gathered for forward() and for what is registered, and for nothing else.
    register_fsdp_forward_method(objective, Objective.eos_probabilities.__name__)
    run = Run(config, accelerator, data, make_stream(config, data, accelerator), objective, wrapped, optimizer)
    if resumed is not None:
        run.step, run.skipped = run_state.restore(accelerator, resumed, objective, optimizer)
        log.info("resuming from %s; %s", resumed, changes(read_config(resumed / CONFIG_FILE), config))
    objective.train()
    return run


def keep_meaning(decoder: ActionDecoder, before: Statistics, after: Statistics) -> None:
    """Rescale the decoder of an initial checkpoint to other bounds. Raises: ValueError: it is none that can be."""
    if np.array_equal(before.q01, after.q01) and np.array_equal(before.q99, after.q99):
        return
    try:
        decoder.rescale(before, after)
    except ValueError as error:
        raise ValueError(
            f"data.action_bounds is 'limits', initial_checkpoint has others, and {error}: expected an L1 head, or "
            "data.action_bounds=quantiles"
        ) from error


def train(run: Run) -> Path:
    """Steps up to ``config.steps``; -> the last checkpoint."""
    config, accumulation = run.config, run.config.optimizer.gradient_accumulation
    batches = prefetch(run.stream.batch, range(run.step * accumulation, config.steps * accumulation), config.prefetch)
    is_main = run.accelerator.is_main_process
    progress = tqdm(initial=run.step, total=config.steps, unit="step", disable=not is_main)
    folder = run_state.checkpoint_folder(config.out, run.step)
    while run.step < config.steps:
        torch.manual_seed(step_seed(config.seed, run.step, run.accelerator.process_index))
        set_learning_rate(run.optimizer, learning_rate(config.optimizer, run.step, config.steps))
        report = train_step(run, [next(batches) for _ in range(accumulation)])
        run.step += 1
        run.skipped += report.is_skipped
        if is_main:
            log_step(run, report)
        if run.step % config.log_every == 0:
            run.accelerator.log(curves(report, run.optimizer, run.skipped), step=run.step)
            progress.set_postfix_str(summary(report, run.skipped))
        progress.update()
        if run.step % config.save_every == 0 or run.step == config.steps:
            run.accelerator.log(validate(run), step=run.step)
            folder = run_state.save(
                run.accelerator, config, run.data, run.objective, run.optimizer, run.step, run.skipped
            )
    progress.close()
    return folder


@torch.no_grad()
def calibrate_run(run: Run, folder: Path) -> None:
    """Choose the EOS threshold of the last checkpoint. Every process takes part, the main one writes."""
    chunks = ChunkBuilder.build(run.objective.model, run.config.checkpoint_model(), run.data.statistics.action)

    def read_eos(batch: Batch) -> torch.Tensor:
        moved = {name: tensor.to(run.accelerator.device) for name, tensor in batch.items()}
        return run.objective.eos_probabilities(moved, chunks)

    run.objective.eval()
    with run.accelerator.autocast():
        result = calibrate(run.data.held_out, run.data.transform, read_eos, chunks.eos.choice)
    if run.accelerator.is_main_process:
        write_calibration(folder, result, model_training(run.config))
        log.info("%s", result)


@torch.no_grad()
def validate(run: Run) -> dict[str, float]:
    """Mean losses on some held-out samples as they are; nothing when none are held out."""
    if run.data.held_out is None or not run.config.validation_batches:
        return {}
    size = min(run.config.optimizer.batch_size, len(run.data.held_out))
    stream = BatchStream(run.data.held_out, run.data.transform, size, run.config.seed)
    run.objective.eval()
    losses = []
    for number in range(run.config.validation_batches):
        batch = stream.batch(number)
        with run.accelerator.autocast():
            losses.append(run.objective({name: tensor.to(run.accelerator.device) for name, tensor in batch.items()}))
    run.objective.train()
    means = {f"held_out/{name}": value for name, value in mean_losses(losses).parts.items()}
    for name in dict.fromkeys(name for loss in losses for name in loss.scores):
        found = [loss.scores[name].item() for loss in losses if name in loss.scores]
        means[f"held_out/{name}"] = sum(found) / len(found)
    log.info("step %d: %s", run.step, ", ".join(f"{name} {value:.4f}" for name, value in means.items()))
    return means


def train_step(run: Run, batches: Sequence[Batch]) -> StepReport:
    """One update of a run from ``batches``."""
    limit = run.config.optimizer.max_grad_norm
    return update(run.accelerator, run.wrapped, run.objective, run.optimizer, batches, limit)


def update(
    accelerator: Accelerator,
    wrapped: torch.nn.Module,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    max_grad_norm: float,
) -> StepReport:
    """One update from ``batches``; none if a loss or a gradient is not finite."""
    optimizer.zero_grad()
    seen: list[Losses] = []
    for number, batch in enumerate(batches):
        is_last = number == len(batches) - 1
        with contextlib.nullcontext() if is_last else accelerator.no_sync(wrapped):
            with accelerator.autocast():  # accelerate does it by itself, but not for sharded models
                losses = wrapped({name: tensor.to(accelerator.device) for name, tensor in batch.items()})
            accelerator.backward(losses.total / len(batches))
        seen.append(mean_losses([losses]))  # without its graph
    # Not before: data-parallel training would wait for the backward pass that was left out, take the next step's for
    # it, and fail where that one uses other weights (the EOS head, once the buffer is full enough).
    if not is_finite_everywhere(accelerator, torch.stack([losses.total for losses in seen])):
        optimizer.zero_grad()
        return StepReport(None)
    norm = float(accelerator.clip_grad_norm_(objective.parameters(), max_grad_norm))
    if not math.isfinite(norm) and accelerator.scaler is None:
        return StepReport(None)
    losses, eos_norm = mean_losses(seen), math.nan
    if losses.eos is not None:
        eos_norm = gradient_norm(objective.model.eos_head.parameters()) * max(1.0, norm / max_grad_norm)
    optimizer.step()  # with a gradient scaler it skips itself where a gradient overflowed
    return StepReport(None) if accelerator.optimizer_step_was_skipped else StepReport(losses, norm, eos_norm)


def is_finite_everywhere(accelerator: Accelerator, losses: torch.Tensor) -> bool:
    """Whether all losses of all processes are finite: they skip together or not at all."""
    return bool(accelerator.gather(torch.isfinite(losses).all().reshape(1)).all())


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine from the full rate to ``final_rate`` of it."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
    decay = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * (config.final_rate + (1 - config.final_rate) * decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def step_seed(seed: int, step: int, process: int) -> int:
    """Seed of a step's dropout and noise: different for every step and process, the same when it is run again."""
    return (seed * 1_000_003 + step) * 1009 + process


def make_optimizer(objective: Objective, config: OptimizerConfig, mixed_precision: str) -> torch.optim.Optimizer:
    """AdamW; biases, norms and embeddings of one dimension are not decayed.

    Args:
        mixed_precision: as ``FinetuneConfig.mixed_precision``.
    """
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    # A fused optimizer leaves out overflowed steps by itself, and accelerate, which looks whether step() was called,
    # would count them as done; fp16 is the one precision that has them.
    is_fused = mixed_precision != "fp16"
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95), fused=is_fused)


def make_stream(config: FinetuneConfig, data: TrainingData, accelerator: Accelerator) -> BatchStream:
    probability = config.data.paraphrase_probability
    return BatchStream(
        data.training,
        data.training_transform or data.transform,
        config.optimizer.batch_size,
        config.seed,
        config.data.augmentation,
        Paraphrases(probability) if probability else None,
        accelerator.process_index,
        accelerator.num_processes,
    )


def make_accelerator(config: FinetuneConfig) -> Accelerator:
    """Accelerate with TensorBoard. Not every step uses the EOS head, which data-parallel training must be told."""
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        log_with="tensorboard",
        project_config=ProjectConfiguration(project_dir=str(config.out), logging_dir=str(config.out)),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    accelerator.init_trackers("curves")
    leave_precision_to_autocast(accelerator)
    return accelerator


def leave_precision_to_autocast(accelerator: Accelerator) -> None:
    """Sharded models compute as others do. FSDP by itself would cast the heads too, which run in float32."""
    if accelerator.distributed_type is DistributedType.FSDP:
        accelerator.state.fsdp_plugin.mixed_precision_policy = None


def is_main_process() -> bool:
    """Several processes make one run without a GPU too; left alone, each would take itself for the only one."""
    return PartialState(cpu=not torch.accelerator.is_available()).is_main_process


def alone(out: Path) -> contextlib.AbstractContextManager[None]:
    """Keeps other runs out of the folder. One process of a run does that for all."""
    return alone_in(out) if is_main_process() else contextlib.nullcontext()


@contextlib.contextmanager
def run_log(out: Path) -> Iterator[None]:
    """Copies the main process's log into ``train.log``; the lines of every single step go there only."""
    out.mkdir(parents=True, exist_ok=True)
    is_main = is_main_process()
    handler = logging.FileHandler(out / "train.log") if is_main else logging.NullHandler()
    handler.setFormatter(PrintableFormatter("%(asctime)s %(message)s"))
    log.setLevel(logging.INFO if is_main else logging.ERROR)
    step_log.propagate = False
    for logger in (log, step_log):
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in (log, step_log):
            logger.removeHandler(handler)
        handler.close()


def log_step(run: Run, report: StepReport) -> None:
    """A line for every skipped batch, and for every update of the EOS head."""
    losses = report.losses
    if losses is None:
        log.warning("step %d: loss or gradient is not finite, batch skipped (%d so far)", run.step, run.skipped)
    elif losses.eos is not None:
        step_log.info(
            "step %d: EOS loss %.4f on %d negatives and %d positives, gradient norm %.4f",
            *(run.step, losses.eos.item(), losses.negatives, losses.positives, report.eos_gradient_norm),
        )


def curves(report: StepReport, optimizer: torch.optim.Optimizer, skipped: int) -> dict[str, float]:
    """Points of the TensorBoard curves."""
    points = {"learning_rate": optimizer.param_groups[0]["lr"], "skipped": skipped}
    if report.losses is None:
        return points
    points["loss/total"] = report.losses.total.item()
    points |= {f"loss/{name}": value for name, value in report.losses.parts.items()}
    if report.losses.eos is not None:
        points["gradient_norm/eos_head"] = report.eos_gradient_norm
    return points | {"gradient_norm/all": report.gradient_norm}


def summary(report: StepReport, skipped: int) -> str:
    """The end of the progress bar."""
    losses = {} if report.losses is None else report.losses.parts
    parts = [f"{name} {losses[name]:.4f}" for name in ("text", "action", "eos") if name in losses]
    return ", ".join([*parts, f"{skipped} skipped"] if skipped else parts)

"""Checkpoint folders of models that are kept as they are in memory, whichever backbone they have.

Written, read, made to ship, inspected. Published layouts of others have their own code beside their model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from substep_core.configuration import dump, parse
from substep_core.contract import LIBERO_PANDA
from substep_core.hub import CONFIG_FILE
from substep_core.json_files import read_object
from substep_policy.checkpoints.folder import (
    BACKBONE_FILE,
    LATEST,
    CheckpointError,
    State,
    check_one_step,
    component_file,
    find_component,
    load_state,
    save_tensors,
)
from substep_policy.checkpoints.inspection import (
    CheckpointReport,
    Finding,
    attempt,
    eos_finding,
    is_error,
    misfit,
    statistics_findings,
    total_finding,
    weight_findings,
)
from substep_policy.checkpoints.part import CheckpointPart, head_parts, without_weights
from substep_policy.models.fixed import FixedModule
from substep_policy.models.kind import ModelConfiguration
from substep_policy.models.model import SubstepModel

C = TypeVar("C", bound=ModelConfiguration)


@dataclass(frozen=True)
class PlainCheckpoints(Generic[C]):
    """Those of one kind of model.

    Attributes:
        config: class of its configuration, a dataclass, which ``config.json`` holds.
        build: its model with random weights.
    """

    config: type[C]
    build: Callable[[C], SubstepModel]

    def read_config(self, folder: Path) -> C:
        """Raises: CheckpointError: config.json is missing or wrong; the message names the key."""
        path = folder / CONFIG_FILE
        try:
            content = read_object(path)
            if "robot" not in content:
                raise ValueError(
                    f"{path} does not say which robot the policy was made for: add the key robot, a whole contract or "
                    f'the name of one that ships, such as "robot": "{LIBERO_PANDA}"'
                )
            return parse(self.config, content, str(path))
        except FileNotFoundError as error:
            raise CheckpointError(f"{folder} is no checkpoint: it has no {CONFIG_FILE}") from error
        except ValueError as error:
            raise CheckpointError(str(error)) from error

    def load(self, folder: Path) -> tuple[C, SubstepModel]:
        """Configuration and trained model, in ``eval()``, on the CPU in float32.

        Raises:
            CheckpointError: a file is missing, or does not fit.
        """
        config = self.read_config(folder)
        self._check_held(config, folder)
        model = self.build(config)
        load_weights(folder, model)
        return config, model

    def inspect(self, folder: Path, others: Callable[[C], Collection[Finding]] = lambda config: ()) -> CheckpointReport:
        """What a folder holds; ``others``: findings about files that only this kind of model has."""
        config = attempt(lambda: self.read_config(folder))
        statistics = statistics_findings(folder, config)
        kind = self.config.model_type
        if is_error(config):
            return CheckpointReport(f"{folder}: {kind}", (misfit("config", config), *statistics))
        model = attempt(lambda: without_weights(self.build, config, folder / CONFIG_FILE))
        if is_error(model):
            return CheckpointReport(f"{folder}: {kind}", (misfit("config", model), *statistics))
        names = {key: key for key in model.backbone.state_dict()}
        backbone = CheckpointPart("backbone", model.backbone, lambda: (folder / BACKBONE_FILE,), names)
        findings = (
            *weight_findings([backbone, *head_parts(folder, model)]),
            eos_finding(config.eos, config.action_head.type),
            *statistics,
            *others(config),
            total_finding(model),
        )
        cameras = ", ".join(config.cameras)
        title = f"{folder}: {kind}, chunks of {config.chunk_length} actions, cameras {cameras}"
        return CheckpointReport(title, findings)

    def _check_held(self, config: C, folder: Path) -> None:
        """Before memory is taken for it.

        Raises:
            CheckpointError: no model can be made so, or the weights are missing or cannot be of so large a part.
        """
        described = folder / CONFIG_FILE
        model = without_weights(self.build, config, described)
        _check_file("backbone", model.backbone, folder / BACKBONE_FILE, described)
        for name, head in model.heads.items():
            _check_file(name, head, find_component(folder, name), described)


def _check_file(name: str, part: nn.Module, weights: Path, described: Path) -> None:
    if not weights.is_file():
        raise CheckpointError(f"{weights} is missing")
    numbers = sum(parameter.numel() for parameter in part.parameters())
    size = weights.stat().st_size
    if numbers > size:  # no number is kept in less than a byte
        raise CheckpointError(f"{weights} has {size} bytes, and {described} gives its {name} {numbers} parameters")


def config_text(config: ModelConfiguration) -> str:
    """What ``config.json`` holds."""
    return json.dumps(dump(config), indent=2) + "\n"


def save_model(folder: Path, config: ModelConfiguration, model: SubstepModel, step: int) -> None:
    """Write configuration, backbone and heads into an existing folder."""
    (folder / CONFIG_FILE).write_text(config_text(config))
    save_tensors(_storable(model.backbone), folder / BACKBONE_FILE)
    for name, head in model.heads.items():
        torch.save(head.state_dict(), folder / component_file(name, step))


def export_model(folder: Path, config: ModelConfiguration, model: SubstepModel) -> None:
    """Write configuration and weights for shipping: safetensors only, half precision, heads as ``latest``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(config_text(config))
    save_tensors(_halved(model.backbone), folder / BACKBONE_FILE)
    for name, head in model.heads.items():
        save_tensors(_halved(head), folder / component_file(name, LATEST, "safetensors"))


def load_weights(
    folder: Path,
    model: SubstepModel,
    heads: Collection[str] | None = None,
    convert: Callable[[State], State] = dict,
) -> None:
    """Fill a model from a checkpoint folder and set it to ``eval()``.

    Args:
        heads: those of them that are to be filled; None: all.
        convert: what is done to the backbone's weights before.

    Raises:
        CheckpointError: as ``load_state``, ``find_component`` and ``check_one_step``.
    """
    files = {name: find_component(folder, name) for name in model.heads if heads is None or name in heads}
    check_one_step(files.values())
    load_state(model.backbone, folder / BACKBONE_FILE, convert)
    for name, file in files.items():
        load_state(model.heads[name], file)
    model.eval()


def _storable(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}


def _halved(module: nn.Module) -> dict[str, Tensor]:
    if isinstance(module, FixedModule):
        return _storable(module)
    return {key: value.half() if value.is_floating_point() else value for key, value in _storable(module).items()}

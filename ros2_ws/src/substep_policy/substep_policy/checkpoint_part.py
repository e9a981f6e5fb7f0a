"""One part of a checkpoint: a module's weights, and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from substep_policy.checkpoint import (
    BACKBONE_FILE,
    CheckpointError,
    check_fit,
    find_component,
    misfits,
    read_state,
)
from substep_policy.model import SubstepModel

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Part:
    """Weights of one module.

    Attributes:
        module: may be on the meta device; ``load`` gives it weights.
        find: where its files are; raises CheckpointError when there are none.
        names: key in the files -> key in the module.
        convert: what is done to a file's state after reading, e.g. merging LoRA layers that were saved with it.
    """

    name: str
    module: nn.Module
    find: Callable[[], tuple[Path, ...]]
    names: Mapping[str, str]
    convert: Callable[[State], State] = field(default=dict)

    def shapes(self) -> State:
        """By key in the files, on the meta device. Raises: CheckpointError: a file is missing or damaged."""
        shapes: dict[str, Tensor] = {}
        for path in self.find():
            shapes |= self.convert(read_state(path, "meta"))
        return shapes

    def misfits(self, state: State) -> list[str]:
        """In words, what does not fit the module."""
        return misfits(state, self._expected())

    def check(self) -> None:
        """Raises: CheckpointError: a file is missing or damaged; a key is missing, unknown, or has another shape."""
        what = f"{self.name}: {self.find()[0]} does not fit {type(self.module).__name__}"
        check_fit(self.shapes(), self._expected(), what)

    def load(self, device: torch.device, dtype: torch.dtype) -> None:
        """Give the module these weights, after ``check``. One file at a time is in memory beside the module."""
        for path in self.find():
            state = self.convert(read_state(path))
            moved = {self.names[name]: value.to(device, dtype) for name, value in state.items()}
            self.module.load_state_dict(moved, strict=False, assign=True)

    def _expected(self) -> State:
        own = self.module.state_dict()
        return {name: own[key] for name, key in self.names.items()}


def head_parts(folder: Path, model: SubstepModel) -> list[Part]:
    """Every head of a model, each in a file of its own."""

    def part(name: str, head: nn.Module) -> Part:
        return Part(name, head, lambda: (find_component(folder, name),), {key: key for key in head.state_dict()})

    return [part(name, head) for name, head in model.heads.items()]


def compact_parts(folder: Path, model: SubstepModel) -> list[Part]:
    """Every part of a compact model."""
    names = {key: key for key in model.backbone.state_dict()}
    return [Part("backbone", model.backbone, lambda: (folder / BACKBONE_FILE,), names), *head_parts(folder, model)]


def check_surplus(present: set[str], parts: list[Part], folder: Path) -> None:
    """Raises: CheckpointError: there are files of parts that the model does not have."""
    surplus = present - {part.name for part in parts}
    if surplus:
        raise CheckpointError(f"{folder} has files of {', '.join(sorted(surplus))}, which its model does not have")

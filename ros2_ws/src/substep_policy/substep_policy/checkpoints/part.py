"""One part of a checkpoint: a module's weights, and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from substep_policy.checkpoints.folder import (
    CheckpointError,
    State,
    check_fit,
    check_one_step,
    find_component,
    misfits,
    read_state,
)
from substep_policy.memory import check_fits
from substep_policy.models.fixed import FixedModule
from substep_policy.models.model import SubstepModel

Model = TypeVar("Model", bound=SubstepModel)


def without_weights(build: Callable[[Any], Model], config: Any, owner: Path) -> Model:
    """The model of a configuration, on the meta device.

    Args:
        owner: the file that the configuration comes from.

    Raises:
        CheckpointError: no layers of such sizes can be made.
    """
    try:
        with torch.device("meta"), _NothingDrawn():
            return build(config)
    except Exception as error:  # sizes that go with each other in no layer; what torch raises then cannot be listed
        why = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{owner} describes a model that cannot be made: {why}") from error


class _NothingDrawn(TorchFunctionMode):
    """Tensors on the meta device have no values. PyTorch loads its compiler to draw them, which takes seconds."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


@dataclass(frozen=True)
class CheckpointPart:
    """Weights of one module.

    Attributes:
        module: may be on the meta device; ``load`` gives it weights.
        find: where its files are; raises CheckpointError when there are none.
        names: key in the files -> key in the module.
        convert: what is done to a file's state after reading, e.g. merging LoRA layers that were saved with it.
        exact: beginnings of names in the module that stay in float32 whatever the rest runs in.
    """

    name: str
    module: nn.Module
    find: Callable[[], tuple[Path, ...]]
    names: Mapping[str, str]
    convert: Callable[[State], State] = field(default=dict)
    exact: tuple[str, ...] = ()

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
        """Give the module these weights, after ``check``. One file at a time is in memory beside the module.

        Those of a ``FixedModule`` keep their own type.
        """
        kept = None if isinstance(self.module, FixedModule) else dtype
        for path in self.find():
            state = self.convert(read_state(path))
            moved = {key: value.to(device, self._dtype(key, kept)) for key, value in self._own(state).items()}
            self.module.load_state_dict(moved, strict=False, assign=True)

    def _own(self, state: State) -> State:
        return {self.names[name]: value for name, value in state.items()}

    def _dtype(self, key: str, dtype: torch.dtype | None) -> torch.dtype | None:
        return torch.float32 if key.startswith(self.exact) else dtype

    def _expected(self) -> State:
        own = self.module.state_dict()
        return {name: own[key] for name, key in self.names.items()}


def head_parts(folder: Path, model: SubstepModel) -> list[CheckpointPart]:
    """Every head of a model, each in a file of its own."""

    def part(name: str, head: nn.Module) -> CheckpointPart:
        return CheckpointPart(
            name, head, lambda: (find_component(folder, name),), {key: key for key in head.state_dict()}
        )

    return [part(name, head) for name, head in model.heads.items()]


def load_parts(
    folder: Path, parts: Sequence[CheckpointPart], model: SubstepModel, device: torch.device, dtype: torch.dtype
) -> None:
    """Check all parts of a checkpoint folder, then give them to a model that was made on the meta device.

    Raises:
        CheckpointError: a file is missing or damaged; a key is missing, unknown, or has another shape; files of
            several steps would be mixed.
        TooLargeError: the weights do not fit into the computer's memory.
    """
    check_fits(model, device, dtype, str(folder))
    check_one_step(path for part in parts for path in part.find())
    for part in parts:
        part.check()
    for part in parts:
        part.load(device, dtype)
    model.backbone.restore_buffers(device)


def check_surplus(present: set[str], parts: list[CheckpointPart], folder: Path) -> None:
    """Raises: CheckpointError: there are files of parts that the model does not have."""
    surplus = present - {part.name for part in parts}
    if surplus:
        raise CheckpointError(f"{folder} has files of {', '.join(sorted(surplus))}, which its model does not have")

"""Kinds of models: everything that depends on which backbone a checkpoint has.

A package adds a kind with an entry point in ``substep.model_kinds``, a ``ModelKind`` under the name that ``model_type``
in its checkpoints' config.json has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from substep_core.contract import RobotContract
from substep_core.hub import CONFIG_FILE
from substep_core.json_files import JsonFileError, read_object
from substep_core.registry import Registry

if TYPE_CHECKING:
    from substep_policy.checkpoints.inspection import CheckpointReport
    from substep_policy.heads import DecoderConfig, EOSHeadConfig
    from substep_policy.heads.decoder import Vocabulary
    from substep_policy.models.model import EosDetection
    from substep_policy.models.normalization import GripperConvention
    from substep_policy.policy import Policy
    from substep_policy.registry import PolicySettings


class ModelConfiguration(Protocol):
    """What every kind's configuration says. One that also has a field ``skills`` (names, a tuple) is told by training
    which skills it was taught, and the planner refuses others.

    Attributes:
        model_type: the kind's name.
        robot: whose data the model learned from.
        cameras: of the robot, in the order in which the model takes them.
        proprio_widths: state group of the robot -> values that the model takes of it.
        render_size: side in pixels at which images are rendered for it.
        vocabulary: of a backbone that is a language model; it then has ``token_logits`` too.
    """

    model_type: str
    robot: RobotContract
    cameras: tuple[str, ...]
    chunk_length: int
    proprio_widths: dict[str, int]
    render_size: int
    vocabulary: Vocabulary | None
    action_head: DecoderConfig
    eos_head: EOSHeadConfig | None
    eos: EosDetection
    gripper: GripperConvention


class UnknownModel(ValueError):
    """A folder that does not say of which kind its model is."""


def recognises_nothing(config: Mapping[str, Any]) -> bool:
    return False


@dataclass(frozen=True)
class ModelKind:
    """One kind.

    Attributes:
        config: class of its configuration, a ``ModelConfiguration``; ``./substep train`` reads ``model`` into it.
        read_config: configuration of a checkpoint folder; raises CheckpointError.
        policy: the policy of a checkpoint folder; raises ValueError, or whatever else loading raises.
        inspect: what a checkpoint folder holds; misfits are findings, not errors.
        training: "module:function", ``FinetuneConfig -> training.train.models.ModelTraining``, imported by
            ``./substep train`` alone; empty: it cannot be trained here.
        recognises: whether a config.json that has no ``model_type`` is of a published checkpoint of this kind.
    """

    config: type
    read_config: Callable[[Path], ModelConfiguration]
    policy: Callable[[Path, PolicySettings], Policy]
    inspect: Callable[[Path], CheckpointReport]
    training: str = ""
    recognises: Callable[[Mapping[str, Any]], bool] = recognises_nothing


MODEL_KINDS: Registry[ModelKind] = Registry("model kind", "substep.model_kinds")


def _instead(folder: Path) -> str:
    """What a folder without a configuration holds, where that is known, and what is to be done."""
    if (folder / "adapter_config.json").exists():  # as peft names it
        return (
            ", it holds a LoRA adapter alone: add the config.json, dataset_statistics.json, tokenizer.json and heads "
            "of its policy"
        )
    return ""


def kind_of(folder: Path, kinds: Registry[ModelKind] = MODEL_KINDS) -> ModelKind:
    """The kind of a checkpoint's model.

    Raises:
        UnknownModel: there is no usable config.json, or its ``model_type`` is none of ``kinds``.
    """
    config = read_kind(folder, kinds)
    if (name := config.get("model_type")) is not None:
        return kinds.load(name)
    published = (kind for kind in map(kinds.load, kinds.names) if kind.recognises(config))
    if (kind := next(published, None)) is None:
        other = f" and type {other!r}" if (other := config.get("type")) is not None else ""  # LeRobot's
        raise UnknownModel(f"{folder / CONFIG_FILE} has model_type None{other}, expected one of {kinds.listing}")
    return kind


def read_kind(folder: Path, kinds: Registry[ModelKind] = MODEL_KINDS) -> dict[str, Any]:
    """A checkpoint's config.json, which may be a published one without ``model_type``. Imports no model.

    Raises:
        UnknownModel: there is none that is usable, or its ``model_type`` is none of ``kinds``.
    """
    path = folder / CONFIG_FILE
    try:
        config = read_object(path)
    except FileNotFoundError as error:
        raise UnknownModel(f"{folder} is no checkpoint: it has no {CONFIG_FILE}{_instead(folder)}") from error
    except JsonFileError as error:
        raise UnknownModel(str(error)) from error
    name = config.get("model_type")
    if name is not None and (not isinstance(name, str) or name not in kinds):
        raise UnknownModel(f"{path} has model_type {name!r}, expected one of {kinds.listing}")
    return config

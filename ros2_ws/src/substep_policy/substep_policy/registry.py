"""Policies by name, checkpoint folder or hub id. Nothing is imported before it is asked for."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from substep_policy.eos import EosRule
from substep_policy.hub import CONFIG_FILE, HUB_ID_PATTERN, HubError, checkpoint_folder
from substep_policy.policy import Policy
from substep_policy.run_modes import Execution, Quantization

WEIGHTS = Path(__file__).parent / "weights"
DEVICE_PATTERN = re.compile(r"auto|cpu|cuda(:\d+)?")
DTYPES = ("auto", "float32", "bfloat16", "float16")


class PolicyError(ValueError):
    """A policy that cannot be had; the message names it, says why, and what there is."""


@dataclass(frozen=True)
class PolicySettings:
    """How a policy is loaded.

    Attributes:
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        dtype: one of ``DTYPES``; "auto": what the policy was saved in, or suits the device.
        eos_threshold: EOS probability that ends a substep; None: the checkpoint's own.
        seed: of whatever the policy draws at random.
        cameras: names of the cameras whose images it will be given.
        dataset: whose statistics it works with, by name; None: those of the only data set that the policy has.
        quantization, execution: of a large policy's network.
    """

    device: str = "auto"
    dtype: str = "auto"
    eos_threshold: float | None = None
    seed: int = 0
    cameras: tuple[str, ...] = ("agentview", "eye_in_hand")
    dataset: str | None = None
    quantization: Quantization = Quantization.NONE
    execution: Execution = Execution.EAGER

    def __post_init__(self) -> None:
        if not DEVICE_PATTERN.fullmatch(self.device):
            raise ValueError(f"device is {self.device!r}, expected 'auto', 'cpu', 'cuda' or 'cuda:N'")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}, expected one of {', '.join(DTYPES)}")
        if self.eos_threshold is not None:
            EosRule(self.eos_threshold)
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected 0 or more")


@dataclass(frozen=True)
class PolicyRegistry:
    """What can be loaded. Targets are "module:function".

    Attributes:
        named: policy name -> ``function(settings) -> Policy``, or the folder of a checkpoint that ships.
        checkpoints: ``model_type`` in a checkpoint's config.json -> ``function(folder, config, settings) -> Policy``.
    """

    named: Mapping[str, str | Path] = field(default_factory=lambda: MappingProxyType({}))
    checkpoints: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def load(self, policy: str, settings: PolicySettings) -> Policy:
        """Load a policy.

        Args:
            policy: a name, the folder of a checkpoint, or a hub id such as "organisation/model".

        Raises:
            PolicyError: no such policy, or a checkpoint without a usable config.json.
            Exception: whatever the policy's own loader raises (missing weights, no such device, out of memory).
        """
        target = self.named.get(policy)
        if isinstance(target, str):
            return _import(target)(settings)
        folder = self.folder(policy)
        config = _read_config(folder)
        model_type = config.get("model_type")
        if model_type not in self.checkpoints:
            raise PolicyError(
                f"{folder / CONFIG_FILE} has model_type {model_type!r}, expected one of {_listing(self.checkpoints)}"
            )
        return _import(self.checkpoints[model_type])(folder, config, settings)

    def folder(self, policy: str) -> Path:
        """Where a policy's checkpoint lies; arguments as ``load``.

        Raises:
            PolicyError: no such policy, or one without a checkpoint.
        """
        target = self.named.get(policy)
        if isinstance(target, Path):
            return target
        if target is not None:
            raise PolicyError(f"policy {policy!r} has no checkpoint, it is a program: {target}")
        folder = Path(policy).expanduser()
        if folder.is_dir():
            return folder
        if HUB_ID_PATTERN.fullmatch(policy):
            try:
                return checkpoint_folder(policy)
            except HubError as error:
                raise PolicyError(str(error)) from error
        raise PolicyError(
            f"unknown policy {policy!r}: expected one of {_listing(self.named)}, the folder of a checkpoint "
            "(there is none of that name), or a hub id such as organisation/model"
        )


POLICIES = PolicyRegistry(
    named=MappingProxyType({"demonstrator": "substep_policy.demonstrator:load", "compact": WEIGHTS / "compact"}),
    checkpoints=MappingProxyType(
        {"compact": "substep_policy.compact_policy:load", "openvla": "substep_policy.openvla_policy:load"}
    ),
)


def _import(target: str) -> Callable[..., Policy]:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)


def _listing(names: Mapping[str, str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "(nothing is registered)"


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PolicyError(f"{folder} is no checkpoint: it has no {CONFIG_FILE}") from error
    except json.JSONDecodeError as error:
        raise PolicyError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise PolicyError(f"{path} holds a JSON {type(config).__name__}, expected an object with a model_type")
    return config

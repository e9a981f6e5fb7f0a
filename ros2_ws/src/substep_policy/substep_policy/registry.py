"""Policies by name, checkpoint folder or hub id. Nothing is imported before it is asked for.

A package adds a policy with an entry point in ``substep.policies``: a function from settings to a policy, or the
``Path`` of a checkpoint folder that it ships.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from substep_core.plan import normalise_suite
from substep_core.policy_source import NAMED, PolicyError, check_policy_name, policy_source
from substep_core.registry import Registry
from substep_policy.eos import EosRule
from substep_policy.guidance_settings import DEFAULT_GUIDANCE, GUIDANCES, GuidanceSettings
from substep_policy.models.kind import MODEL_KINDS, ModelKind, kind_of, read_kind
from substep_policy.models.normalization import STATISTICS_FILE, read_statistics_file
from substep_policy.policy import Policy
from substep_policy.run_modes import Execution, Quantization

WEIGHTS = Path(__file__).parent / "weights"
DEVICE_PATTERN = re.compile(r"auto|cpu|cuda(:\d+)?")
log = logging.getLogger(__name__)
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class PolicySettings:
    """How a policy is loaded.

    Attributes:
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        dtype: one of ``DTYPES``; "auto": what the policy was saved in, or suits the device.
        eos_threshold: EOS probability that ends a substep; None: the checkpoint's own.
        seed: of whatever the policy draws at random.
        dataset: whose statistics it works with, by name; None: those of the only data set that the policy has.
        quantization, execution: of a large policy's network.
        guidance: how a chunk that is to go on from the last one is drawn to it.
    """

    device: str = "auto"
    dtype: str = "auto"
    eos_threshold: float | None = None
    seed: int = 0
    dataset: str | None = None
    quantization: Quantization = Quantization.NONE
    execution: Execution = Execution.EAGER
    guidance: GuidanceSettings = DEFAULT_GUIDANCE

    def __post_init__(self) -> None:
        if not DEVICE_PATTERN.fullmatch(self.device):
            raise ValueError(f"device is {self.device!r}, expected 'auto', 'cpu', 'cuda' or 'cuda:N'")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}, expected one of {', '.join(DTYPES)}")
        if self.eos_threshold is not None:
            EosRule(self.eos_threshold)
        GUIDANCES.check(self.guidance.guidance)
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected 0 or more")


PolicySource = Callable[[PolicySettings], Policy] | Path  # what makes a policy: a program, or a checkpoint's folder


@dataclass(frozen=True)
class PolicyRegistry:
    """What can be loaded.

    Attributes:
        named: policies by name.
        kinds: of models that checkpoints hold, by the ``model_type`` in their config.json.
    """

    named: Registry[PolicySource]
    kinds: Registry[ModelKind] = MODEL_KINDS

    def load(self, policy: str, settings: PolicySettings) -> Policy:
        """Load a policy.

        Args:
            policy: a name, the folder of a checkpoint, or a hub id such as "organisation/model".

        Raises:
            PolicyError: no such policy.
            UnknownModel: a checkpoint without a usable config.json.
            Exception: whatever the policy's own loader raises (missing weights, no such device, out of memory).
        """
        source = self.source(policy)
        return kind_of(source, self.kinds).policy(source, settings) if isinstance(source, Path) else source(settings)

    def check(self, policy: str) -> None:
        """Arguments as ``load``. Imports nothing and asks no hub, so a hub id passes without being known to exist.

        Raises:
            PolicyError: no name, no folder and no hub id.
            UnknownModel: a folder without a usable config.json.
        """
        check_policy_name(policy, self.named)
        if policy not in self.named and (folder := Path(policy).expanduser()).is_dir():
            read_kind(folder, self.kinds)

    def source(self, policy: str) -> PolicySource:
        """What makes the policy; arguments as ``load``. A hub's checkpoint is downloaded.

        Raises:
            PolicyError: no such policy.
            RegistryError: a named one that cannot be imported.
        """
        return policy_source(policy, self.named)

    def settings_for(self, policy: str, settings: PolicySettings, suite: str) -> PolicySettings:
        """The settings, with the data set of a task suite where a checkpoint has several and none is chosen.

        Args:
            suite: the one whose tasks are run, e.g. "libero_10"; a data set may be called so with "_no_noops" behind.

        Raises:
            PolicyError: no such policy.
        """
        source = self.source(policy)
        if settings.dataset is not None or not isinstance(source, Path) or not (source / STATISTICS_FILE).exists():
            return settings
        names = list(read_statistics_file(source))
        found = [name for name in names if normalise_suite(name) == normalise_suite(suite)]
        if len(names) < 2 or len(found) != 1:
            return settings
        log.info("%s: statistics of %s, as suite %s is run; there are %s", policy, found[0], suite, ", ".join(names))
        return replace(settings, dataset=found[0])

    def folder(self, policy: str) -> Path:
        """Where a policy's checkpoint lies; arguments as ``load``.

        Raises:
            PolicyError: no such policy, or one without a checkpoint.
        """
        source = self.source(policy)
        if not isinstance(source, Path):
            raise PolicyError(f"policy {policy!r} has no checkpoint, it is a program of {source.__module__}")
        return source


COMPACT = WEIGHTS / "compact"
DEFAULT_POLICY = "compact"  # goes by what a camera sees, so it runs wherever its robot does
POLICIES = PolicyRegistry(NAMED)

"""OpenVLA-OFT as a kind of model."""

from __future__ import annotations

from substep_policy.models.kind import ModelKind
from substep_policy.models.openvla.inspection import inspect_openvla
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.models.openvla.policy import load
from substep_policy.models.openvla.published_config import read_config

KIND = ModelKind(
    OpenVLAModelConfig, read_config, load, inspect_openvla, training="training.train.models.openvla:training"
)

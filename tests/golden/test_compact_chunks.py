"""The shipped policy's chunks for observations of three tasks, as they were recorded when its weights were made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from substep_core.observation import Observation
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicySettings

FILE = Path(__file__).parent / "compact_chunks.npz"
TOLERANCE = {"rtol": 0, "atol": 1e-5}  # processors differ
with np.load(FILE) as content:
    NUMBERS = sorted({name.partition("/")[0] for name in content.files}, key=int)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return POLICIES.load("compact", PolicySettings(device="cpu"))


@pytest.mark.parametrize("number", NUMBERS)
def test_the_shipped_policy_answers_as_ever(policy: Policy, number: str):
    with np.load(FILE) as content:
        golden = {name.partition("/")[2]: content[name] for name in content.files if name.startswith(f"{number}/")}
    policy.start_substep(str(golden["text"]), "")
    chunk = policy.predict(Observation({name: golden[name] for name in policy.cameras}, golden["proprio"]))
    assert chunk.eos_index == int(golden["eos_index"])
    np.testing.assert_allclose(chunk.actions, golden["actions"], **TOLERANCE)
    np.testing.assert_allclose(chunk.eos_probabilities, golden["eos"], **TOLERANCE)

"""The shipped policy's chunks for observations of three tasks, as they were recorded when its weights were made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from substep_core.chunk import Chunk
from substep_core.observation import Observation
from substep_policy.policy import Asked, Policy, answer
from substep_policy.registry import POLICIES, PolicySettings

FILE = Path(__file__).parent / "compact_chunks.npz"
TOLERANCE = {"rtol": 0, "atol": 1e-5}  # processors differ
with np.load(FILE) as content:
    NUMBERS = sorted({name.partition("/")[0] for name in content.files}, key=int)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return POLICIES.load("compact", PolicySettings(device="cpu"))


def golden_of(number: str) -> dict[str, np.ndarray]:
    with np.load(FILE) as content:
        return {name.partition("/")[2]: content[name] for name in content.files if name.startswith(f"{number}/")}


def asked_of(golden: Mapping[str, np.ndarray], policy: Policy) -> Asked:
    seen = Observation({name: golden[name] for name in policy.cameras}, golden["proprio"])
    return Asked(seen, str(golden["text"]), "")


def assert_as_ever(chunk: Chunk, golden: Mapping[str, np.ndarray]) -> None:
    assert chunk.eos_index == int(golden["eos_index"])
    np.testing.assert_allclose(chunk.actions, golden["actions"], **TOLERANCE)
    np.testing.assert_allclose(chunk.eos_probabilities, golden["eos"], **TOLERANCE)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_shipped_policy_answers_as_ever(policy: Policy, number: str):
    golden = golden_of(number)
    assert_as_ever(answer(policy, asked_of(golden, policy)), golden)


def test_the_shipped_policy_answers_all_at_once_as_ever(policy: Policy):
    goldens = [golden_of(number) for number in NUMBERS]
    for chunk, golden in zip(policy.predict_batch([asked_of(each, policy) for each in goldens]), goldens, strict=True):
        assert_as_ever(chunk, golden)

"""``./substep doctor`` tries what it reports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCTOR = Path(__file__).parent.parent / "setup" / "doctor.py"


def doctor(*rows: str, **environment: str) -> tuple[int, str]:
    told = os.environ | environment
    ended = subprocess.run([sys.executable, DOCTOR, *rows], env=told, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in ended.stdout + ended.stderr, ended.stderr
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("spelt", ["EGL", None])
def test_the_renderer_is_named_however_it_is_spelt(monkeypatch, spelt: str | None):
    monkeypatch.delenv("MUJOCO_GL")  # which the tests have set
    code, text = doctor("renderer", **({"MUJOCO_GL": spelt} if spelt else {}))
    assert code == 0 and "egl: " in text and len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("row", "environment"),
    [
        ("renderer", {"MUJOCO_EGL_DEVICE_ID": "5"}),
        ("renderer", {"MUJOCO_GL": "crayon"}),
        ("discovery", {"RMW_IMPLEMENTATION": "rmw_carrier_pigeon"}),
    ],
)
def test_what_does_not_work_is_one_line(row: str, environment: dict[str, str]):
    code, text = doctor(row, **environment)
    assert code == 1 and "DOES NOT WORK" in text and len(text.splitlines()) == 1

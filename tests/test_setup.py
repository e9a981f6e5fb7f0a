"""Set-up and container: which ROS and Python are taken, and what an image is made of."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def shell(script: str, **environment: str) -> subprocess.CompletedProcess:
    """A script after ``setup.sh`` was sourced as ``./substep`` does it."""
    before = f"set -euo pipefail; ROOT={shlex.quote(str(ROOT))}; . {shlex.quote(str(ROOT / 'setup' / 'setup.sh'))}; "
    return subprocess.run(
        ["bash", "-c", before + script], env={**os.environ, **environment}, capture_output=True, text=True
    )


@pytest.mark.parametrize("distro", ["jazzy", "lyrical"])
def test_an_installed_ros_is_taken_with_the_systems_python(distro):
    done = shell("choose_ros; echo $ROS_SOURCE $ROS_PYTHON", ROS_DISTRO=distro, AMENT_PREFIX_PATH=f"/opt/ros/{distro}")
    assert done.stdout == "system /usr/bin/python3\n", done.stderr


def test_an_installed_ros_that_does_not_fit_is_named_with_those_that_do():
    done = shell("choose_ros", ROS_DISTRO="humble", AMENT_PREFIX_PATH="/opt/ros/humble")
    assert done.returncode == 1
    assert "ROS 2 'humble' is sourced; substep runs on jazzy and lyrical" in done.stderr


@pytest.mark.parametrize(("version", "fits"), [("3, 10", False), ("3, 11", True), ("3, 14", True), ("3, 15", False)])
def test_the_python_of_an_installed_ros_is_taken_or_named(tmp_path: Path, version: str, fits: bool):
    python = tmp_path / "python3"
    pretend = f"import sys; sys.version_info = ({version}, 0); exec(sys.argv[1])"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{pretend}' \"$2\"\n")
    python.chmod(0o755)
    done = shell(f"ROS_PYTHON={python}; choose_python; echo taken", SUBSTEP_PYTHON="")
    assert (done.stdout == "taken\n") is fits
    assert fits or f"no Python 3.11 to 3.14 found ({python})" in done.stderr


def copied_before_the_code() -> list[tuple[str, str]]:
    """Source and target of the Dockerfile's COPY lines before the one that takes everything."""
    lines = re.findall(r"^COPY (\S+) (\S+)$", DOCKERFILE.split("COPY . .")[0], re.MULTILINE)
    assert lines
    return lines


def test_the_image_has_its_packages_before_any_code_is_copied(tmp_path: Path):
    for source, target in copied_before_the_code():
        place = tmp_path / target / (Path(source).name if target.endswith("/") else "")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    done = subprocess.run(["./substep", "setup", "packages"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "ready: the packages are in" in done.stderr, done.stderr
    assert not (tmp_path / "ros2_ws").exists()


def test_the_image_stops_in_order_and_leaves_results_as_an_ordinary_user():
    instructions = dict(re.findall(r"^([A-Z]+) (.*)$", DOCKERFILE, re.MULTILINE))  # the last of each
    assert instructions["STOPSIGNAL"] == "SIGINT"
    assert instructions["USER"] not in ("root", "0")
    assert instructions["VOLUME"] == "/runs" and "runs:=/runs" in instructions["CMD"]
    assert "--noninteractive" in instructions["CMD"]  # otherwise launch leaves it to a terminal to tell its processes
    assert "exec" in (ROOT / "setup" / "docker-entrypoint.sh").read_text().splitlines()[-1]


def test_setup_takes_no_other_word():
    done = subprocess.run([ROOT / "substep", "setup", "pakages"], capture_output=True, text=True)
    assert done.returncode == 2 and "setup takes 'packages' or nothing, not 'pakages'" in done.stderr


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """``./substep`` in a checkout of its own: what it must not do it would do there."""
    shutil.copytree(ROOT / "setup", tmp_path / "setup")
    (tmp_path / "substep_cli").mkdir()
    shutil.copy(ROOT / "substep_cli" / "table.py", tmp_path / "substep_cli")
    return Path(shutil.copy(ROOT / "substep", tmp_path))


@pytest.mark.parametrize("command", ["clean", "doctor", "lock", "setup", "shell", "exec", "install", "colcon"])
def test_asking_what_a_command_of_the_script_does_does_nothing_else(script: Path, command: str):
    built = script.parent / "ros2_ws" / "install"
    built.mkdir(parents=True)
    done = subprocess.run([script, command, "--help"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert done.stdout.startswith(f"usage: ./substep {command}: ") and built.exists()


@pytest.mark.parametrize("command", ["clean", "doctor", "lock", "shell"])
def test_a_command_of_the_script_without_arguments_takes_none(script: Path, command: str):
    done = subprocess.run([script, command, "runs"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and f"{command} takes no arguments, not 'runs'" in done.stderr

"""Programs of the workspace where `colcon build` gave them the system's Python, which has ROS's packages alone."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.launch_stand_in import WORKSPACE

PROGRAMS = sorted(
    {
        (entry.name, entry.value)
        for package in WORKSPACE
        for entry in importlib.metadata.distribution(package.replace("_", "-")).entry_points
        if entry.group == "console_scripts"
    }
)
START = """
import os, sys
from importlib import import_module
from tests.launch_stand_in import only_what_ros_brings

only_what_ros_brings()
for target, program in zip(sys.argv[1::2], sys.argv[2::2]):
    if not os.fork():
        break
    code = os.waitstatus_to_exitcode(os.wait()[1])
    if code:
        sys.exit(code)
else:
    sys.exit()
module, _, function = target.partition(":")
sys.argv[:] = [program, "--ros-args"]
getattr(import_module(module), function)()
"""


def run(programs: Sequence[tuple[str, str]], **environment: str) -> subprocess.CompletedProcess:
    """Programs, one after the other, each in a process that has what ROS brings and the workspace."""
    words = [word for name, target in programs for word in (target, f"/somewhere/{name}")]
    command = [sys.executable, "-c", START, *words]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


def test_every_program_starts_over_in_the_environment(tmp_path: Path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho started again: $*\n")
    python.chmod(0o755)
    done = run(PROGRAMS, VIRTUAL_ENV=str(tmp_path))
    expected = [f"started again: /somewhere/{name} --ros-args" for name, _ in PROGRAMS]
    assert len(expected) > 5 and done.stdout.splitlines() == expected, done.stderr


def test_where_there_is_no_environment_a_program_says_what_to_do(tmp_path: Path):
    code = START.rsplit("for target", 1)[0] + (
        "from pathlib import Path; from substep_core.environment import enter_environment\n"
        f"enter_environment(Path({str(tmp_path)!r}))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "(jsonschema, pydantic_core, ...)" in done.stderr and "run './substep setup'" in done.stderr


def test_an_environment_without_the_packages_is_not_entered_for_ever(tmp_path: Path):
    done = run(PROGRAMS[:1], VIRTUAL_ENV=sys.prefix, SUBSTEP_ENVIRONMENT_ENTERED="1")
    assert done.returncode == 1 and "run './substep setup'" in done.stderr


def test_the_environment_of_the_checkout_is_found_from_source_link_and_copy(tmp_path: Path, monkeypatch):
    from substep_core.environment import _pythons

    checkout = tmp_path / "checkout"
    source = checkout / "ros2_ws" / "src" / "substep_core" / "environment.py"
    copy = checkout / "ros2_ws" / "install" / "lib" / "environment.py"
    link = tmp_path / "elsewhere" / "environment.py"
    for file in (checkout / "setup" / "setup.sh", checkout / ".venv" / "bin" / "python", source, copy):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    link.parent.mkdir()
    link.symlink_to(source)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    for place in (source, copy, link):
        assert next(_pythons(place)) == checkout / ".venv" / "bin" / "python"
    assert list(_pythons(tmp_path / "environment.py")) == []

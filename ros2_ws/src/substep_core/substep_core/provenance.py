"""What something was made with: commit and versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("hf-libero", "robosuite", "mujoco", "numpy", "torch", "transformers", "ros-rclpy")


def commit() -> str:
    """The checkout's commit, with "+" when files differ from it; "unknown" where there is no git checkout."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions() -> dict[str, str]:
    """Of Python, ROS and what matters most beside them; packages that are not installed are left out."""
    found = {"python": platform.python_version(), "ros": os.environ.get("ROS_DISTRO", "wheels")}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str:
    folder = Path(__file__).resolve().parent
    result = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return result.stdout.strip()

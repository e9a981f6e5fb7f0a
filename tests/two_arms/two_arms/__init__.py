"""A robot with two arms, three cameras and no gripper, and what it takes to work with it."""

from __future__ import annotations

from pathlib import Path

ROBOT_FILE = Path(__file__).with_name("robot.yaml")

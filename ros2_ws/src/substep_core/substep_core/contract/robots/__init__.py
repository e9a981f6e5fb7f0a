"""Contracts that ship, as the files of their entry points in ``substep.robots``."""

from __future__ import annotations

from pathlib import Path

libero_panda = Path(__file__).with_name("libero_panda.yaml")

"""Contracts and parameter files that come with the project."""

from pathlib import Path

_HERE = Path(__file__).parent
STANDIN, STANDIN_ARM = _HERE / "standin_contract.yaml", _HERE / "standin.yaml"

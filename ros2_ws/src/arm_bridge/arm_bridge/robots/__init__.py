"""Contracts and parameter files that come with the project. Those of hardware were *not run on hardware*."""

from pathlib import Path

_HERE = Path(__file__).parent
STANDIN, STANDIN_ARM = _HERE / "standin_contract.yaml", _HERE / "standin.yaml"
FRANKA_FR3, FRANKA_FR3_ARM = _HERE / "franka_fr3_contract.yaml", _HERE / "franka_fr3.yaml"
UR5E, UR5E_ARM = _HERE / "ur5e_contract.yaml", _HERE / "ur5e.yaml"
SO101, SO101_ARM = _HERE / "so101_contract.yaml", _HERE / "so101.yaml"

"""What a ROS package imports stands in its package.xml: by rosdep's key, or by name where rosdep has none that fits."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launch_stand_in import WORKSPACE

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "ros2_ws" / "src"
TOOLS = ("training", "substep_cli", "setup")
PYTHON_PACKAGES = [name for name in WORKSPACE if name != "substep_interfaces"]
ROSDEP_KEYS = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "filelock": "python3-filelock",
    "httpx": "python3-httpx",
    "jsonschema": "python3-jsonschema",
    "numpy": "python3-numpy",
    "psutil": "python3-psutil",
    "rich": "python3-rich",
    "scipy": "python3-scipy",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
FROM_PYPI = {  # module -> distribution: not in rosdep, or there in a version that does not fit
    "fast_simplification": "fast-simplification",
    "huggingface_hub": "huggingface_hub",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "libero": "hf-libero",
    "mcap": "mcap",
    "mujoco": "mujoco",
    "numba": "numba",
    "open_clip": "open_clip_torch",
    "peft": "peft",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic",
    "robosuite": "robosuite",
    "rosbags": "rosbags",
    "safetensors": "safetensors",
    "sentencepiece": "sentencepiece",
    "simplejpeg": "simplejpeg",
    "timm": "timm",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "torchao": "torchao",
    "torchvision": "torchvision",
    "transformers": "transformers",
    "xgrammar": "xgrammar",
    "zstandard": "zstandard",
}


def imported(folder: Path) -> set[str]:
    """Top-level modules that the files below a folder import, without those of Python and of the package itself."""
    found: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {folder.name}


def test_two_public_classes_do_not_share_a_name():
    """Whoever searches for one finds it, and a traceback says which one it was."""
    places = defaultdict(set)
    for folder in (*(SOURCES / name / name for name in PYTHON_PACKAGES), *(ROOT / name for name in TOOLS)):
        for file in folder.rglob("*.py"):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].add(file)
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_bridges_bags_and_core_need_no_policy_and_no_torch():
    needed: set[str] = set()
    for name in ("substep_core", "substep_bridge", "arm_bridge", "libero_bridge", "substep_bags", "substep_standin"):
        needed |= imported(SOURCES / name / name)
    assert needed.isdisjoint({"substep_policy", "substep_planner", "substep_demonstrator", "torch", "transformers"})


def test_the_stand_in_robot_speaks_no_message_of_this_stack_and_its_bridge_knows_no_robot():
    """What tells robots apart are their contracts and parameter files, the stand-in's too."""
    assert imported(SOURCES / "substep_standin" / "substep_standin").isdisjoint({"substep_interfaces", "arm_bridge"})
    graph = ("substep_core", "substep_bridge", "arm_bridge", "substep_policy", "substep_planner", "substep_bags")
    folders = [*(SOURCES / name / name for name in graph), ROOT / "launch" / "substep_bringup"]
    for folder in folders:
        assert "substep_standin" not in imported(folder), folder
        names = {file for file in folder.rglob("*.py") if {"standin", "/standin"} & set(constants(file))}
        assert {file.name for file in names} <= {"bench.py"}, "the bench of limits plays the stand-in's own"


def constants(file: Path) -> Iterator[str]:
    """Texts of a module, docstrings too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("package", PYTHON_PACKAGES)
def test_a_package_declares_what_it_imports(package: str):
    text = (SOURCES / package / "package.xml").read_text(encoding="utf-8")
    declared = set(re.findall(r"<(?:exec_depend|depend)>([\w-]+)<", text))
    named = set(re.findall(r"[\w-]+", " ".join(re.findall(r"<!-- from PyPI, .*?: (.*?)-->", text, re.DOTALL))))
    modules = imported(SOURCES / package / package)
    needed = {ROSDEP_KEYS.get(module, module) for module in modules if module not in FROM_PYPI}
    assert needed - declared == set(), "imported and not declared"
    assert declared - needed <= set(WORKSPACE), "declared and not imported, nor a package whose programs are started"
    assert {FROM_PYPI[module] for module in modules if module in FROM_PYPI} == named

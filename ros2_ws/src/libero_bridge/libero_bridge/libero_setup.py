"""Makes the LIBERO package usable without questions, downloads or noise.

On import LIBERO asks a question on stdin unless its configuration file exists, and it downloads its assets on demand.
Everything that works around this is here; nothing happens until a function is called.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
EMBEDDED_ASSETS = "embedded"
LIBERO_ASSETS = "libero"
_CONFIG_VARIABLE = "LIBERO_CONFIG_PATH"


@dataclass(frozen=True)
class LiberoTask:
    """One task of a suite. ``instruction`` is the benchmark's sentence (what published policies were trained on)."""

    suite: str
    index: int
    name: str
    instruction: str
    bddl_file: Path
    init_states_file: Path

    def init_states(self) -> np.ndarray:
        """(50, 1 + nq + nv) float64: time, qpos, qvel of each benchmark initial state."""
        import torch

        return np.asarray(torch.load(self.init_states_file, weights_only=False))


def task_count(suite: str) -> int:
    """Number of tasks of a suite.

    Raises:
        ValueError: there is no such suite.
    """
    return len(_benchmark(suite).tasks)


def load_task(suite: str, index: int) -> LiberoTask:
    """Looks up a task in LIBERO's own task order.

    Raises:
        ValueError: no such suite, or the index is not one of its tasks.
    """
    benchmark = _benchmark(suite)
    if not 0 <= index < len(benchmark.tasks):
        raise ValueError(f"task {index} is not one of suite {suite!r}: expected 0 to {len(benchmark.tasks) - 1}")
    from libero.libero import get_libero_path

    task = benchmark.tasks[index]
    init_states_file = Path(get_libero_path("init_states"), task.problem_folder, task.init_states_file)
    bddl_file = Path(benchmark.get_task_bddl_file_path(index))
    return LiberoTask(suite, index, task.name, task.language, bddl_file, init_states_file)


def assets_folder(assets: str) -> Path | None:
    """``SimulationConfig.assets`` -> folder; None stands for LIBERO's own (installed, or downloaded by hf-libero).

    Raises:
        ValueError: the folder does not exist or does not look like a LIBERO asset tree.
    """
    if assets == LIBERO_ASSETS:
        return None
    if assets == EMBEDDED_ASSETS:
        from libero_bridge.scenes.pack import pack_path

        return Path(pack_path())
    folder = Path(assets).expanduser().resolve()
    if not (folder / "scenes").is_dir():
        raise ValueError(
            f"assets {assets!r} is not a LIBERO asset folder (no folder 'scenes' in {folder}); "
            f"expected {EMBEDDED_ASSETS!r}, {LIBERO_ASSETS!r} or the path of one"
        )
    return folder


def use_assets(folder: Path | None) -> None:
    """Environments built after this call take meshes and textures from ``folder`` (None: LIBERO's own)."""
    import_libero()
    import libero.libero

    libero.libero._assets_path_cache = None if folder is None else str(folder)


def model_filter(assets: str) -> Callable[[str], str] | None:
    """What the embedded pack changes in the robot's look, which comes from robosuite and not from the asset tree."""
    if assets != EMBEDDED_ASSETS:
        return None
    from libero_bridge.scenes.panda import lighten

    return lighten


def import_libero() -> None:
    """Imports LIBERO with a configuration file in place, without its question, warnings and log file."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    if not Path(os.environ.get(_CONFIG_VARIABLE, ""), "config.yaml").is_file():
        os.environ[_CONFIG_VARIABLE] = str(_write_config())
    _quiet_robosuite()
    import libero.libero.envs  # noqa: F401


def _benchmark(suite: str):
    if suite not in SUITES:
        raise ValueError(f"unknown suite {suite!r}: expected one of {', '.join(SUITES)}")
    import_libero()
    from libero.libero.benchmark import get_benchmark

    with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):  # it prints its task order
        return get_benchmark(suite)()


def _write_config() -> Path:
    """Writes LIBERO's config.yaml into a folder of our own; safe when several processes start at once."""
    import yaml

    package = importlib.util.find_spec("libero")
    if package is None or not package.submodule_search_locations:
        raise ImportError("the LIBERO package is not installed: expected hf-libero from requirements/requirements.txt")
    root = Path(package.submodule_search_locations[0], "libero")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "substep", "libero")
    folder = cache / root.as_posix().strip("/").replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "benchmark_root": str(root),
        "bddl_files": str(root / "bddl_files"),
        "init_states": str(root / "init_files"),
        "datasets": str(root.parent / "datasets"),
        "assets": str(root / "assets"),
    }
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".yaml", delete=False) as file:
        yaml.safe_dump(config, file)
    os.replace(file.name, folder / "config.yaml")
    return folder


def _quiet_robosuite() -> None:
    """Keeps robosuite from warning about a private macro file and from logging to a fixed file in /tmp.

    Its settings module must be changed before the package is imported, so it is loaded first, on its own.
    """
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    if "robosuite" in sys.modules:
        return
    package = importlib.util.find_spec("robosuite")
    if package is None or package.origin is None:
        raise ImportError("robosuite is not installed: expected 1.4.0 from requirements/requirements.txt")
    name = "robosuite.macros"
    spec = importlib.util.spec_from_file_location(name, Path(package.origin).with_name("macros.py"))
    macros = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(macros)
    macros.FILE_LOGGING_LEVEL = None
    sys.modules[name] = macros
    importlib.import_module("robosuite").macros = macros

"""Configures the LIBERO package without prompts, downloads or log noise.

On import LIBERO asks a question on stdin unless its configuration file exists, and it downloads its assets on demand.
Everything that works around this is here; nothing happens until a function is called.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from substep_core.tasks import EMBEDDED_ASSETS, LIBERO_ASSETS
from substep_core.user_cache import user_cache

_CONFIG_VARIABLE = "LIBERO_CONFIG_PATH"


def import_libero() -> None:
    """Imports LIBERO with a configuration file in place, without its question, warnings and log file."""
    if not Path(os.environ.get(_CONFIG_VARIABLE, ""), "config.yaml").is_file():
        os.environ[_CONFIG_VARIABLE] = str(_write_config())
    import_robosuite()
    importlib.import_module("libero.libero.envs")


def libero_folder() -> Path:
    """Where LIBERO's own files are: BDDL files, initial states, the table of tasks.

    Raises:
        ImportError: LIBERO is not installed.
    """
    return _package_folder("libero", "hf-libero") / "libero"


def load_module(name: str, file: Path) -> ModuleType:
    """One module of a package without the package's own (slow, noisy) initialisation."""
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def use_assets(assets: str) -> None:
    """Environments built after this call take meshes and textures from here.

    Args:
        assets: "embedded", "libero" (installed with LIBERO, or downloaded by it) or the path of a folder.

    Raises:
        ValueError: there is no LIBERO asset tree.
    """
    import_libero()
    libero = importlib.import_module("libero.libero")
    libero._assets_path_cache = None
    folder = Path(libero.get_assets_path()) if assets == LIBERO_ASSETS else _assets_folder(assets)
    _check_tree(assets, folder)
    libero._assets_path_cache = str(folder)


def check_assets(assets: str) -> None:
    """Without LIBERO, which may have to download its own. Raises: ValueError: a folder that is no LIBERO asset tree."""
    folder = asset_folder(assets)
    if folder is not None:
        _check_tree(assets, folder)


def asset_folder(assets: str) -> Path | None:
    """Where a benchmark's own scenes may be found beside LIBERO's meshes; None: there are LIBERO's alone."""
    return Path(assets).expanduser().resolve() if assets not in (EMBEDDED_ASSETS, LIBERO_ASSETS) else None


def model_filter(assets: str) -> Callable[[str], str] | None:
    """What the embedded pack changes in the robot's look, which comes from robosuite and not from the asset tree."""
    if assets != EMBEDDED_ASSETS:
        return None
    from libero_bridge.scenes.panda import lighten

    return lighten


def _assets_folder(assets: str) -> Path:
    if assets != EMBEDDED_ASSETS:
        return Path(assets).expanduser().resolve()
    from libero_bridge.scenes.pack import pack_path

    return pack_path()


def _check_tree(assets: str, folder: Path) -> None:
    if not (folder / "scenes").is_dir():
        raise ValueError(
            f"assets {assets!r} are not a LIBERO asset tree (no folder 'scenes' in {folder}); expected "
            f"{EMBEDDED_ASSETS!r}, {LIBERO_ASSETS!r} (installed, or to be downloaded by LIBERO) or the path of one"
        )


def _write_config() -> Path:
    """Writes LIBERO's config.yaml into a folder of our own; safe when several processes start at once."""
    import yaml

    root = libero_folder()
    folder = user_cache() / "libero" / root.as_posix().strip("/").replace("/", "-")
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


def import_robosuite(module: str = "") -> ModuleType:
    """robosuite, or one of its modules, without its warnings. Whoever comes first imports it through this."""
    _quiet_robosuite()
    return importlib.import_module(f"robosuite.{module}" if module else "robosuite")


def _quiet_robosuite() -> None:
    """Keeps robosuite from warning about a private macro file and from logging to a fixed file in /tmp.

    Its settings module must be changed before the package is imported, so it is loaded first, on its own.
    """
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    if "robosuite" in sys.modules:
        return
    macros = load_module("robosuite.macros", _package_folder("robosuite", "robosuite") / "macros.py")
    macros.FILE_LOGGING_LEVEL = None
    sys.modules[macros.__name__] = macros
    importlib.import_module("robosuite").macros = macros


def _package_folder(package: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{package} is not installed: expected {distribution} (requirements/requirements.txt)")
    return Path(spec.submodule_search_locations[0])

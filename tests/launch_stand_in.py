"""Stands in for ROS launch, which has no wheels, and for the system's Python that ``ros2 launch`` runs in.

``python -m tests.launch_stand_in FOLDER`` loads every launch file of the project and has it make its actions, in an
interpreter that can import what ROS brings, and the workspace, and nothing else. It prints the files' names.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace

LAUNCH_FILES = Path(__file__).parents[1] / "launch" / "launch"
STAND_INS = {
    "launch": ("LaunchContext", "LaunchDescription", "LaunchDescriptionEntity"),
    "launch.logging": (),
    "launch.actions": (
        "DeclareLaunchArgument",
        "EmitEvent",
        "LogInfo",
        "OpaqueFunction",
        "RegisterEventHandler",
        "Shutdown",
    ),
    "launch.event_handlers": ("OnProcessExit",),
    "launch.events": (),
    "launch.events.process": ("ProcessExited", "SignalProcess"),
    "launch.substitutions": (),
    "launch_ros": (),
    "launch_ros.actions": ("Node",),
}
WITH_ROS = ("numpy", "yaml", "lark", "packaging")  # what every installation of ROS has beside its own packages
WORKSPACE = ("arm_bridge", "libero_bridge", "substep_bags", "substep_bridge", "substep_bringup", "substep_core",
             "substep_interfaces", "substep_planner", "substep_policy", "substep_demonstrator")  # fmt: skip


class Kept(SimpleNamespace):
    """Something of launch's, which keeps what it was given."""

    def __init__(self, *given, **options) -> None:
        super().__init__(given=given, **options)


def modules() -> dict[str, ModuleType]:
    """Name -> module, for ``sys.modules``."""
    made = {name: ModuleType(name) for name in STAND_INS}
    for name, classes in STAND_INS.items():
        for class_name in classes:
            setattr(made[name], class_name, type(class_name, (Kept,), {}))
    made["launch"].logging = made["launch.logging"]
    made["launch.logging"].launch_config = SimpleNamespace(log_dir="")
    made["launch.events"].matches_action = lambda action: action
    made["launch.substitutions"].LaunchConfiguration = lambda name: SimpleNamespace(
        perform=lambda context: context.texts[name]
    )
    return made


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.name.replace(".", "_"), file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(launch_file: ModuleType, texts: Mapping[str, str]) -> list:
    """The actions of a launch file that is given these arguments, and its defaults for the others."""
    *declared, begin = launch_file.generate_launch_description().given[0]
    defaults = {entry.given[0]: entry.default_value for entry in declared}
    assert set(texts) <= set(defaults)
    return begin.function(SimpleNamespace(texts={**defaults, **texts}))


class _OnlyWhatRosBrings(MetaPathFinder):
    """Every other package looks as if it was not installed."""

    def __init__(self, finder: MetaPathFinder) -> None:
        self._finder = finder
        wheels = importlib.metadata.packages_distributions()
        ros = {name for name, distributions in wheels.items() if any(item.startswith("ros-") for item in distributions)}
        self._allowed = {*sys.stdlib_module_names, *ros, *WITH_ROS, *WORKSPACE, *STAND_INS}

    def find_spec(self, name: str, path=None, target=None):
        return self._finder.find_spec(name, path, target) if name.split(".")[0] in self._allowed else None


def only_what_ros_brings() -> None:
    """From here on this process is like the system's Python on a machine with ROS."""
    sys.meta_path[:] = [_OnlyWhatRosBrings(finder) for finder in sys.meta_path]
    sys.modules.update(modules())


def main(folder: str) -> None:
    only_what_ros_brings()
    # names that only the nodes' environment knows
    values = {"runs": folder, "world": "mine", "policy": "mine", "tasks_from": "mine", "suite": "mine", "bag": folder}
    values["robot"] = "mine"
    for file in sorted(LAUNCH_FILES.iterdir()):
        launch_file = load(file)
        declared = {entry.given[0] for entry in launch_file.generate_launch_description().given[0][:-1]}
        actions = start(launch_file, {name: value for name, value in values.items() if name in declared})
        assert any(hasattr(action, "executable") for action in actions), actions
        print(file.name)


if __name__ == "__main__":
    main(sys.argv[1])

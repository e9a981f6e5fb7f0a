"""The part of `./substep doctor` that needs the environment. What it reports it has tried.

python setup/doctor.py [ROW …]    exit code 1: something that is needed does not work
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

PACKAGES = ("hf-libero", "robosuite", "mujoco", "numpy", "torch", "transformers", "peft", "timm", "open_clip_torch")
NODE = """
import rclpy
rclpy.init()
rclpy.create_node("doctor").destroy_node()
print(rclpy.get_rmw_implementation_identifier())
"""


def packages() -> str:
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def rclpy() -> str:
    return find_spec("rclpy").origin


def renderer() -> str:
    """Renders an image as the simulated world does, and names who drew it."""
    import libero_bridge  # noqa: F401  as everywhere, before MuJoCo: it settles which renderer is used

    # isort: split
    import mujoco
    from OpenGL import GL
    from robosuite.utils import binding_utils  # noqa: F401  refuses renderers that it does not know

    from libero_bridge.rendering import CameraRenderer

    model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><camera name="eye"/></worldbody></mujoco>')
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    sys.unraisablehook = lambda raised: None  # a context that could not be made complains once more when it is freed
    camera = CameraRenderer(model, 16, 16)
    camera.render(data, "eye")
    name = GL.glGetString(GL.GL_RENDERER).decode()
    camera.close()
    return f"{os.environ['MUJOCO_GL']}: {name}"


def accelerator() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none; models run on the CPU"
    gpu = torch.cuda.get_device_properties(0)
    return f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, torch {torch.__version__}"


def discovery() -> str:
    """Makes a node in a process of its own: a middleware that is not there ends the process."""
    tried = subprocess.run([sys.executable, "-c", NODE], capture_output=True, text=True, timeout=60)
    if tried.returncode != 0:
        *_, why = tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"]
        raise RuntimeError(f"RMW_IMPLEMENTATION={os.environ.get('RMW_IMPLEMENTATION', '')}: no node can be made: {why}")
    domain = os.environ.get("ROS_DOMAIN_ID", "(a free one per run)")
    return f"{tried.stdout.strip()}, ROS_DOMAIN_ID={domain}"


ROWS: dict[str, Callable[[], str]] = {
    "packages": packages,
    "rclpy": rclpy,
    "renderer": renderer,
    "accelerator": accelerator,
    "discovery": discovery,
}


def main(names: list[str]) -> int:
    code = 0
    for name in names or ROWS:
        try:
            value = ROWS[name]()
        except Exception as error:  # whatever a library raises: the other rows are wanted too
            first = (str(error).strip().splitlines() or [""])[0]
            code, value = 1, f"DOES NOT WORK: {type(error).__name__}: {first}"
        print(f"{name:<18} {value}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

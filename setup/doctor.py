"""The part of `./substep doctor` that needs the environment: packages, renderer, accelerator, LIBERO."""

from __future__ import annotations

import os
from importlib.metadata import version
from importlib.util import find_spec

PACKAGES = ("hf-libero", "robosuite", "mujoco", "numpy", "torch", "transformers", "peft", "timm", "open_clip_torch")


def row(name: str, value: str) -> None:
    print(f"{name:<18} {value}")


def renderer() -> str:
    """Renders one pixel and names who drew it."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    import mujoco
    from OpenGL import GL

    context = mujoco.GLContext(16, 16)
    context.make_current()
    name = GL.glGetString(GL.GL_RENDERER).decode()
    context.free()
    return f"{os.environ['MUJOCO_GL']}: {name}"


def accelerator() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none; models run on the CPU"
    gpu = torch.cuda.get_device_properties(0)
    return f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, torch {torch.__version__}"


def main() -> None:
    row("packages", ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    row("rclpy", find_spec("rclpy").origin)
    row("renderer", renderer())
    row("accelerator", accelerator())
    row(
        "discovery",
        f"ROS_DOMAIN_ID={os.environ.get('ROS_DOMAIN_ID', '(free one per run)')}, "
        f"RMW_IMPLEMENTATION={os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp (default)')}",
    )


if __name__ == "__main__":
    main()

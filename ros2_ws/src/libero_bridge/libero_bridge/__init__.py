"""LIBERO behind the bridge: simulated world, embedded scenes, placements, task sources."""

import os

# MuJoCo chooses its OpenGL backend at its first import, so this must come before any module of the package:
# without it, a machine without a screen cannot render.
# MuJoCo takes any spelling, PyOpenGL and robosuite only this one.
os.environ["MUJOCO_GL"] = os.environ.get("MUJOCO_GL", "").strip().lower() or "egl"
os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])

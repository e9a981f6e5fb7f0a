"""LIBERO as a ROS 2 robot: simulated world, embedded scenes, action queue, safety guard and the node."""

import os

# MuJoCo chooses its OpenGL backend at its first import, so this must come before any module of the package:
# without it, a machine without a screen cannot render.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])

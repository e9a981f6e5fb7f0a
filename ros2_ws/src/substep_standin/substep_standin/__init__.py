"""A stand-in robot: LIBERO's Panda behind a driver as vendors write them, with faults on command."""

import libero_bridge  # noqa: F401  before MuJoCo, whose OpenGL backend it chooses

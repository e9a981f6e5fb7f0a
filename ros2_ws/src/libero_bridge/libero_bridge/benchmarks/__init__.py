"""Benchmarks of the simulated world and of the loop through ROS: ``./substep bench simulation`` and ``graph``."""

"""Checks a scene pack against the benchmark: every task, every initial state, every goal."""

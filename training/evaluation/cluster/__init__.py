"""Evaluations on many machines at once: simulators and policies as Ray's actors."""

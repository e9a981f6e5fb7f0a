"""Decomposers: ways to split a task's instruction into a plan."""

"""Benchmarks of policies: time and memory of a chunk."""

"""Measures what the project promises about speed: ``python -m libero_bridge.benchmarks simulation|graph``."""

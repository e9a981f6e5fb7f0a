"""Starts the graph of bridge, policy and planner, runs one task through it and shuts it down."""

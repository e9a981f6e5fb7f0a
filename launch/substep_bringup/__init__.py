"""Brings the graph of bridge, policy and planner up, runs one task through it and takes it down again."""

"""Policies that drive the arm substep by substep: observation, model, end-of-substep rules and the ROS 2 node."""

"""``./substep eval``: how well a policy does, with baselines and probes beside it."""

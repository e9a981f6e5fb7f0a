"""The planner: splits a task into substeps, owns the active one and decides when it is done."""

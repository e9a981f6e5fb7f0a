"""Training of the planner's embedded language model, on sentences that are made here."""

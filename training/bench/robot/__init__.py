"""How well policies do on the stand-in robot, which does not wait, beside simulation, which does."""

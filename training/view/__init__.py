"""Shows what a graph has said, or says, in Rerun's viewer: ``./substep view``."""

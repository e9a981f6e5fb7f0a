"""Eyes that know when a substep is done: scorers of camera frames, debouncing, and the worker that feeds them."""

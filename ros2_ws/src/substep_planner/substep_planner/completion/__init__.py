"""Visual completion: scorers that say from camera frames whether a substep is done, and the thread that runs them."""

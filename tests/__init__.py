"""What crosses packages: the running graph and its faults."""

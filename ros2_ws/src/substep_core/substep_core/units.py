"""Units that several parts convert between."""

NANOSECONDS = 1_000_000_000  # in a second

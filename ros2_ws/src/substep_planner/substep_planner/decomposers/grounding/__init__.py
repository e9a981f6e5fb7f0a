"""The embedded language model: grounds what is said in what is there."""

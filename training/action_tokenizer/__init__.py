"""Fits action tokenizers to demonstrations, and measures what they lose."""

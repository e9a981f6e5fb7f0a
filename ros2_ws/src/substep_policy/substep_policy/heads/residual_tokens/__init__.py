"""Heads that predict the residual codes of an RFSQ tokenizer: all at once, or coarse to fine."""

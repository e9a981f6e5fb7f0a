"""Backbones: anything that maps observation and instruction to ``actions_hidden_states`` (B, C·A, D)."""

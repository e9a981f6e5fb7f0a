"""Demonstrations, substep labels, fine-tuning with an EOS head, collection and evaluation."""

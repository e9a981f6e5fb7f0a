"""π0.5 (Physical Intelligence 2025): PaliGemma, an action expert by flow matching, and words for the next substep."""

"""Makes the file of the planner's embedded language model."""

from __future__ import annotations

from training.planner.calibration import fit
from training.planner.counts import count
from training.planner.lexicon import Lexicon

READ = 400  # sentences on which the score is fitted


def make(seed: int, sentences: int, lexicon: Lexicon) -> dict:
    """The tables of one language, ready for JSON."""
    return {**count(seed, sentences, lexicon), "score": fit(lexicon, seed, sentences, READ)}

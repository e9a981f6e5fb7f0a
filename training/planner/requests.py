"""What every kind of request is drawn with."""

from __future__ import annotations

import random

from training.planner.lexicon import Lexicon
from training.planner.speech import Speech
from training.planner.steps import Steps


class Requests:
    """Args: lexicon: of the language; pick: draws; steps: draws substeps; say: puts them into words."""

    def __init__(self, lexicon: Lexicon, pick: random.Random, steps: Steps, say: Speech) -> None:
        self._w, self._random = lexicon, pick
        self._steps = steps
        self._say = say

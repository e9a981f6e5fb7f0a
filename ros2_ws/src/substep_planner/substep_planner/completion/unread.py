"""Substeps whose words a scorer cannot read whole: cut, two of them could become one, so they are not scored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

NOT_DONE = 0.0  # score of a substep that cannot be scored

log = logging.getLogger(__name__)


def whole_texts(texts: Sequence[str], fits: Callable[[str], bool], scorer: str) -> list[int]:
    """Numbers of the texts that ``fits`` takes; the others are warned of."""
    numbers = [number for number, text in enumerate(texts) if fits(text)]
    for number in set(range(len(texts))) - set(numbers):
        log.warning(
            "%s cannot read the words of substep %d whole, and does not look for its end: %.120r",
            scorer,
            number + 1,
            texts[number],
        )
    return numbers

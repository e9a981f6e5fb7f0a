"""What is in the scene, as people write it: "porcelain_mug", "moka_pot=3"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def read_objects(texts: Sequence[str]) -> tuple[frozenset[str], Mapping[str, int]]:
    """Categories, and how many there are of each: not known where no number is given, else one of those without.

    Raises:
        ValueError: a text that is no category with or without a number; it is named.
    """
    counts: dict[str, int] = {}
    for text in texts:
        name, has_number, number = text.partition("=")
        if not name or has_number and not (number.isdecimal() and int(number) > 0):
            raise ValueError(f"{text!r} is no object: expected a category such as moka_pot, or moka_pot=3")
        counts[name] = int(number) if has_number else 1
    return frozenset(counts), counts if any("=" in text for text in texts) else {}

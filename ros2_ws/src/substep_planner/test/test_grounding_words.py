"""The words of a sentence, as dictation and typing have them."""

from __future__ import annotations

from substep_planner.decomposers.grounding.spelling import Speller
from substep_planner.decomposers.grounding.words import words_of_text


def test_slips_are_mended_and_words_split_as_dictation_has_them():
    speller = Speller(["yellow", "mug", "the", "plate", "pale", "basket", "baskets"])
    assert [speller.mended(word) for word in ("yelow", "yellwo", "teh", "mug", "zebra", "palte", "baskett")] == [
        "yellow", "yellow", "the", "mug", "zebra", "plate", "basket"
    ]  # fmt: skip
    assert words_of_text("The cabinet’s top-drawer!") == ["the", "cabinets", "top", "drawer"]

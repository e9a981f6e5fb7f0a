"""The words of a scene's own names, as people say and write them: a name in the scene may be said, whatever was taught.

"tea pot" is a teapot that is there, "blueblock" the blue block, "gray" what its name calls grey, "blokc" a slip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.grounding.spelling import Speller, other_spellings, singular

_SHORTEST = 3  # letters of a word that is half of another


class SceneWords:
    """Args: entities: what is there."""

    def __init__(self, entities: Iterable[Entity | None]) -> None:
        self._words = frozenset(word for entity in entities if entity for word in entity.label.split())
        self._singulars = {singular(word): word for word in self._words}
        self._speller = Speller(self._words.union(f"{word}s" for word in self._words))

    def __contains__(self, word: str) -> bool:
        """Whether it is in a name, in the singular or the plural."""
        return word in self._words or singular(word) in self._singulars

    def joined(self, words: Sequence[str], knows: Callable[[str], bool]) -> list[str]:
        """The words, two that are one in a name as that one, and one that is two in names as those.

        Args:
            knows: whether the model was taught a word.
        """
        kept: list[str] = []
        for word in words:
            if kept and kept[-1] + word in self and not (kept[-1] in self and word in self):
                kept[-1] += word
            elif word in self or knows(word) or not (halves := self._halves(word)):
                kept.append(word)
            else:
                kept += halves
        return kept

    def _halves(self, word: str) -> tuple[str, ...]:
        cuts = [(word[:at], word[at:]) for at in range(_SHORTEST, len(word) - _SHORTEST + 1)]
        return next((pair for pair in cuts if pair[0] in self._words and pair[1] in self), ())

    def mended(self, word: str, speller: Speller, is_noun: Callable[[str], bool]) -> str:
        """The word, or what it is a slip or another spelling of.

        Args:
            speller: knows the model's words.
            is_noun: whether a word that the model was not taught is no slip: a hammer is no hamper.
        """
        if word in self._words or speller.knows(word) or word in self and not speller.knows(singular(word)):
            return word
        for other in other_spellings(word):
            if other in self or speller.knows(other):
                return other
        if is_noun(word):
            return word
        own = self._speller.mended(word)
        return own if own != word else speller.mended(word)


scene_words = lru_cache(64)(SceneWords)

"""The nouns that a benchmark suite's plans use, which a policy that was trained on it knows best."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from substep_core.language.nouns import NOUNS
from substep_core.language.reader import parse
from substep_planner.decomposers.library import shipped_library


@cache
def nouns_of_suite(suite: str) -> Mapping[str, str]:
    """Kind -> the noun that most of a suite's substeps use for it; none where there is no such suite."""
    said: dict[str, Counter] = defaultdict(Counter)
    for plan in shipped_library().get(suite, {}).values():
        for substep in plan.substeps:
            motion = parse(substep.instruction)
            for thing in filter(None, (motion.thing, motion.place and motion.place.thing)):
                for kind in NOUNS[thing.whole].categories if thing.whole in NOUNS else ():
                    said[kind][thing.whole] += 1
    return MappingProxyType({kind: nouns.most_common(1)[0][0] for kind, nouns in said.items()})

"""Objects that LIBERO-plus adds to scenes: from its assets, or stand-ins out of LIBERO's own objects."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from types import MappingProxyType

from libero_bridge.libero_setup import libero_folder

STAND_INS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bottle": ("ketchup", "bbq_sauce", "new_salad_dressing", "salad_dressing", "wine_bottle"),
        "can": ("alphabet_soup", "tomato_sauce", "red_coffee_mug"),
        "box": ("orange_juice", "milk", "cookies", "chocolate_pudding", "butter", "cream_cheese"),
        "bag": ("cookies", "chocolate_pudding", "butter", "cream_cheese"),
    }
)
ANY = tuple(dict.fromkeys(name for names in STAND_INS.values() for name in names))


def foreign_categories(categories: Collection[str]) -> tuple[str, ...]:
    """Those that LIBERO itself does not have."""
    known = libero_categories()
    return tuple(sorted({category for category in categories if category not in known}))


def stand_ins(foreign: Collection[str], present: Collection[str]) -> dict[str, str]:
    """Foreign category -> one of LIBERO's of the same shape that is not in the scene yet.

    Raises:
        ValueError: the scene has them all.
    """
    taken, chosen = set(present), {}
    for category in sorted(foreign):
        shape = next((shape for shape in STAND_INS if category.startswith(shape)), None)
        candidates = [name for name in (*STAND_INS.get(shape, ()), *ANY) if name not in taken]
        if not candidates:
            raise ValueError(f"nothing is left to stand in for {category!r}")
        chosen[category] = candidates[0]
        taken.add(candidates[0])
    return chosen


@cache
def libero_categories() -> frozenset[str]:
    """Names of the objects that LIBERO's modules register, read from their sources without importing a simulator."""
    found = set()
    for module in (libero_folder() / "envs" / "objects").glob("*.py"):
        for name in re.findall(r"@register_object\s+(?:@\w+\s+)*class (\w+)", module.read_text(encoding="utf-8")):
            found.add("_".join(re.sub(r"([A-Z0-9])", r" \1", name).split()).lower())
    return frozenset(found)

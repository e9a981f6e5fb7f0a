"""The things that instructions name: the word that plans use, other words for it, and LIBERO's categories.

Everything here is lower case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Noun:
    """Attributes:

    categories: LIBERO's, the likeliest first; none: every scene has it.
    synonyms: other words for the thing, which plans never use.
    """

    categories: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()


NOUNS: Mapping[str, Noun] = MappingProxyType(
    {
        "black bowl": Noun(("akita_black_bowl",), ("akita black bowl",)),
        "white bowl": Noun(("white_bowl",)),
        "red bowl": Noun(("red_bowl",)),
        "bowl": Noun(("akita_black_bowl", "white_bowl", "red_bowl")),
        "plate": Noun(("plate",)),
        "ramekin": Noun(("glazed_rim_porcelain_ramekin",)),
        "cookie box": Noun(
            ("cookies",),
            ("box of cookies", "pack of cookies", "packet of cookies", "package of cookies", "cookies box",
             "box with cookies"),
        ),
        "cookies": Noun(("cookies",)),
        "alphabet soup": Noun(("alphabet_soup",)),
        "tomato sauce": Noun(("tomato_sauce",)),
        "bbq sauce": Noun(("bbq_sauce",), ("barbecue sauce", "barbeque sauce", "bbq")),
        "salad dressing": Noun(("salad_dressing", "new_salad_dressing")),
        "ketchup": Noun(("ketchup",)),
        "milk": Noun(("milk",)),
        "orange juice": Noun(("orange_juice",)),
        "butter": Noun(("butter",)),
        "cream cheese": Noun(("cream_cheese",)),
        "cream cheese box": Noun(("cream_cheese",), ("box of cream cheese",)),
        "chocolate pudding": Noun(("chocolate_pudding",)),
        "wine bottle": Noun(("wine_bottle",), ("bottle of wine",)),
        "bottle": Noun(("wine_bottle",)),
        "moka pot": Noun(("moka_pot",), ("mocha pot", "espresso pot", "coffee pot")),
        "frying pan": Noun(("chefmate_8_frypan",), ("skillet", "frypan", "fry pan", "pan")),
        "white mug": Noun(("porcelain_mug",)),
        "red mug": Noun(("red_coffee_mug",)),
        "yellow and white mug": Noun(("white_yellow_mug",)),
        "white and yellow mug": Noun(("white_yellow_mug",)),
        "mug": Noun(("porcelain_mug", "red_coffee_mug", "white_yellow_mug"), ("coffee mug", "coffee cup", "cup")),
        "book": Noun(("black_book", "yellow_book")),
        "black book": Noun(("black_book",)),
        "yellow book": Noun(("yellow_book",)),
        "basket": Noun(("basket",)),
        "tray": Noun(("wooden_tray",)),
        "wooden tray": Noun(("wooden_tray",)),
        "caddy": Noun(
            ("desk_caddy",),
            ("desk caddy", "book caddy", "organizer", "organiser", "desk organizer", "desk organiser",
             "book organizer", "book organiser"),
        ),
        "stove": Noun(
            ("flat_stove",),
            ("burner of the stove", "stove burner", "stovetop", "stove top", "cooktop", "cook top", "hotplate",
             "burner", "hob", "cooker"),
        ),
        "microwave": Noun(
            ("microwave",), ("microwave oven", "door of the microwave", "microwave door", "microwave's door")
        ),
        "cabinet": Noun(("wooden_cabinet", "white_cabinet", "wooden_two_layer_shelf"), ("cupboard",)),
        "wooden cabinet": Noun(("wooden_cabinet",)),
        "white cabinet": Noun(("white_cabinet",)),
        "shelf": Noun(("wooden_two_layer_shelf",), ("bookshelf",)),
        "cabinet shelf": Noun(("wooden_two_layer_shelf",)),
        "rack": Noun(("wine_rack",)),
        "wine rack": Noun(("wine_rack",), ("wine holder",)),
        "table": Noun(),
        "floor": Noun(),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Affordances:
    """What things of one kind are good for; the others can be picked up and be places, nothing more.

    Attributes:
        fixed: cannot be moved.
        opens, switches: can be opened and closed, turned on and off.
        container: "to" it means "in" it.
        is_open_box: "on" it means "in" it.
        has_top: there is room on top of it that is not "on" or "in" it.
    is_hollow: something goes in it, though it is no container.
    has_room_below: something goes under it.
    hides: it is so high that no arm reaches behind it.
    is_slender: nothing stands on it.
        part_of: what it is a part of, where that is not said.
    """

    fixed: bool = False
    opens: bool = False
    switches: bool = False
    container: bool = False
    is_open_box: bool = False
    has_top: bool = False
    is_hollow: bool = False
    has_room_below: bool = False
    hides: bool = False
    is_slender: bool = False
    part_of: str = ""


_AFFORDANCES = {
    # LIBERO calls its shelf so too, which is hollow and has room below.
    "cabinet": Affordances(fixed=True, has_top=True, is_hollow=True, has_room_below=True, hides=True),
    "drawer": Affordances(fixed=True, opens=True, container=True, is_open_box=True, part_of="cabinet"),
    "stove": Affordances(fixed=True, switches=True),
    "microwave": Affordances(fixed=True, opens=True, container=True, has_top=True, hides=True),
    "shelf": Affordances(fixed=True, has_top=True, is_hollow=True, has_room_below=True, hides=True),
    "bottle": Affordances(is_slender=True),
    "rack": Affordances(fixed=True, is_hollow=True),
    "caddy": Affordances(fixed=True, is_hollow=True),
    "compartment": Affordances(fixed=True, container=True, is_open_box=True, part_of="caddy"),
    "table": Affordances(fixed=True),
    "floor": Affordances(fixed=True),
    "basket": Affordances(container=True, is_open_box=True),
    "tray": Affordances(container=True, is_open_box=True),
    "bowl": Affordances(container=True),
    "ramekin": Affordances(is_hollow=True),
    "mug": Affordances(is_hollow=True),
    "pot": Affordances(is_hollow=True),
    "pan": Affordances(is_hollow=True),
}
PARTS = tuple(noun for noun, affordances in _AFFORDANCES.items() if affordances.part_of)
HEADS = frozenset({name.split()[-1] for name in NOUNS} | set(PARTS))
OPEN_PERHAPS = frozenset({"box"})  # LIBERO's are closed packages, others hold things
OUT_OF_REACH = frozenset({"ceiling", "wall", "roof", "sky"})  # of any arm at a table
ROBOT_PARTS = frozenset({"gripper", "arm", "hand", "robot", "finger", "fingers"})


def affordances_of(head: str) -> Affordances:
    """By the noun that says what a thing is: "drawer", "mug"."""
    return _AFFORDANCES.get(head, Affordances())


def has_room(preposition: str, head: str) -> bool:
    """Whether something can be put so at what a noun names: nothing goes under a plate, or in a stove.

    Args:
        preposition: as in ``phrases.Place``.
        head: the noun that says what it is. Of one that is not known nothing is ruled out, unless it is out of reach.
    """
    if head in OUT_OF_REACH:
        return False
    of = affordances_of(head)
    if head not in HEADS or preposition not in ("in", "under") or preposition == "in" and head in OPEN_PERHAPS:
        return True
    return of.has_room_below if preposition == "under" else of.container or of.is_hollow


def can_be_reached(preposition: str, head: str) -> bool:
    """Whether an arm can put something so where there is room: nothing goes behind a cabinet, or stands on a bottle.

    Args:
        preposition, head: as for ``has_room``.
    """
    of = affordances_of(head)
    return not (preposition == "to the back of" and of.hides or preposition in ("on", "on top of") and of.is_slender)


def names_of(category: str) -> list[str]:
    """Nouns that may stand for a LIBERO category, the most particular first."""
    return sorted((name for name, noun in NOUNS.items() if category in noun.categories), key=len, reverse=True)


def _renaming(name: str, noun: Noun) -> tuple[re.Pattern[str], str]:
    """The name itself is among the words looked for, so that the "pan" in "frying pan" is let alone."""
    words = "|".join(sorted((name, *noun.synonyms), key=len, reverse=True))
    return re.compile(rf"\b(?:{words})(s?)\b"), rf"{name}\1"


# What things are packed in is not said of them, and some words mean a part only where they stand.
_RENAMINGS = tuple(_renaming(name, noun) for name, noun in NOUNS.items() if noun.synonyms) + tuple(
    (re.compile(rf"\b(?:{pattern})\b"), word)
    for pattern, word in (
        (r"(?:can|bottle|carton|box|pack|packet|package|stick|block|jar|tin|container) of(?: the)?", ""),
        (r"(?<=milk) carton|(?<=orange juice) (?:carton|bottle)|(?<=ketchup) bottle|(?<=dressing) bottle", ""),
        (r"(?<=alphabet soup) (?:can|tin)|(?<=sauce) (?:can|tin|bottle)|(?<=butter) (?:stick|box|block)", ""),
        (r"(?<=pudding) box", ""),
        (r"layer(?= of)", "drawer"),
        (r"slot|section", "compartment"),
    )
)


def in_plain_nouns(text: str) -> str:
    """The text with every thing called as plans call it: "the can of soup on the hob" -> "the soup on the stove"."""
    for pattern, word in _RENAMINGS:
        text = pattern.sub(word, text)
    return " ".join(text.split())


def singular(text: str) -> str | None:
    """For example "mugs" -> "mug"; None when the phrase is not a known noun's plural."""
    words = text.split()
    for ending, replacement in (("shelves", "shelf"), ("boxes", "box"), ("s", "")):
        if words and words[-1].endswith(ending) and words[-1] not in HEADS:
            noun = words[-1].removesuffix(ending) + replacement
            if noun in HEADS:
                return " ".join([*words[:-1], noun])
    return None

"""The words that the rules know. Everything here is lower case."""

from __future__ import annotations

import re

# What a thing is good for, by its head noun. Unknown nouns can be picked up and be places, nothing more.
FIXTURES = frozenset({"cabinet", "drawer", "stove", "microwave", "shelf", "rack", "caddy", "table", "compartment"})
OPENABLE = frozenset({"drawer", "microwave"})
SWITCHABLE = frozenset({"stove"})
CONTAINERS = frozenset({"basket", "tray", "drawer", "microwave", "compartment", "bowl"})
KNOWN_NOUNS = FIXTURES | CONTAINERS | {
    "plate", "ramekin", "soup", "cheese", "sauce", "dressing", "ketchup", "milk", "juice", "butter", "pudding",
    "bottle", "pot", "pan", "mug", "book", "box", "cookies",
}  # fmt: skip

OPENABLE_PRONOUNS = frozenset(
    {"door", "the door", "its door", "drawer", "the drawer", "that drawer", "the same drawer"}
)
PRONOUNS = frozenset({"it", "them", "this", "that", "these", "those", "both", "each", "both of them"})
SIDES = {
    "left": "left", "leftmost": "left", "left-hand": "left", "right": "right", "rightmost": "right",
    "right-hand": "right", "middle": "middle", "central": "middle", "center": "middle", "centre": "middle",
    "front": "front", "frontmost": "front", "back": "back", "rear": "back", "rearmost": "back", "top": "top",
    "topmost": "top", "uppermost": "top", "upper": "top", "bottom": "bottom", "lower": "bottom", "lowest": "bottom",
    "bottommost": "bottom", "lowermost": "bottom",
}  # fmt: skip

# Other words for things: pattern -> the word that plans use. Applied in this order.
SYNONYMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\b(?:{pattern})\b"), word)
    for pattern, word in (
        (r"(?:together|along) with|as well as|plus", "and"),
        (r"akita black bowl", "black bowl"),
        (r"bottle of wine", "wine bottle"),
        (r"box of cream cheese", "cream cheese box"),
        (r"(?:box|pack|packet|package) of cookies|cookies box|box with cookies", "cookie box"),
        (r"(?:can|bottle|carton|box|pack|packet|package|stick|block|jar|tin|container) of(?: the)?", ""),
        (r"(?<=milk) carton|(?<=orange juice) (?:carton|bottle)|(?<=ketchup) bottle|(?<=dressing) bottle", ""),
        (r"(?<=alphabet soup) (?:can|tin)|(?<=sauce) (?:can|tin|bottle)|(?<=butter) (?:stick|box|block)", ""),
        (r"(?<=pudding) box", ""),
        (r"barbecue sauce|barbeque sauce|bbq", "bbq sauce"),
        (r"bbq sauce sauce", "bbq sauce"),
        (r"burner of the stove|stove burner|stovetop|stove top|cooktop|cook top|hotplate|burner|hob|cooker", "stove"),
        (r"skillet|frypan|fry pan|(?<!frying )pan", "frying pan"),
        (r"coffee mug|coffee cup|cup", "mug"),
        (r"coffee mugs|coffee cups|cups", "mugs"),
        (r"mocha pot|espresso pot|coffee pot", "moka pot"),
        (r"mocha pots|espresso pots|coffee pots", "moka pots"),
        (r"cupboard", "cabinet"),
        (r"(?:desk |book )?organi[sz]er|desk caddy|book caddy", "caddy"),
        (r"microwave oven|door of the microwave|microwave door|microwave's door", "microwave"),
        (r"wine holder", "wine rack"),
        (r"bookshelf", "shelf"),
        (r"layer(?= of)", "drawer"),
        (r"slot|section", "compartment"),
        (
            r"(?:to|on|onto) the ((?:\w+ )?\w+)'s (left|right|front|back)(?: side)?(?=$|,|;| and\b)",
            r"to the \2 of the \1",
        ),
    )
)

# The verb is at the start of its clause; "…" stands for what it acts on.
PICK = (r"pick up …", r"pick … up", r"lift up …", r"lift … up", r"take hold of …") + tuple(
    f"{verb} …" for verb in ("pick", "grab", "grasp", "take", "lift", "get", "fetch", "collect", "remove", "retrieve")
)
PUT = (r"put … away", r"set down …", r"put down …") + tuple(
    f"{verb} …"
    for verb in (
        "put", "place", "set", "move", "lay", "drop", "transfer", "bring", "lower", "insert", "store", "leave",
        "deposit", "position", "rest", "stand", "carry", "return", "release", "stow", "relocate", "slip", "tuck",
    )
)  # fmt: skip
STACK = (r"stack … up", r"stack …", r"pile …")
OPEN = (r"pull open …", r"pull … open", r"slide open …", r"slide … open", r"pull out …", r"pull … out", r"open up …",
        r"open …")  # fmt: skip
CLOSE = (r"push … closed", r"push … shut", r"push closed …", r"push shut …", r"push … in", r"push in …",
         r"slide … closed", r"slide … shut", r"slide shut …", r"close …", r"shut …")  # fmt: skip
TURN_ON = tuple(f"{verb} on …" for verb in ("turn", "switch", "power")) + tuple(
    f"{verb} … on" for verb in ("turn", "switch", "power")
) + (r"light …", r"ignite …", r"activate …")  # fmt: skip
TURN_OFF = tuple(f"{verb} off …" for verb in ("turn", "switch", "power", "shut")) + tuple(
    f"{verb} … off" for verb in ("turn", "switch", "power", "shut")
) + (r"deactivate …", r"extinguish …")  # fmt: skip
PUSH = (r"push …", r"slide …", r"shove …", r"nudge …")

FILLERS = re.compile(
    r"\b(?:please|kindly|carefully|gently|slowly|quickly|simply|just|now|again|firstly|first|secondly|finally|lastly|"
    r"as well|too|(?<!upside )down(?= (?:on|onto|in|into|inside|to|under|next)\b)|afterwards|afterward|subsequently|"
    r"also|could you|can you|would you|will you|i want you to|i would like you to|your task is to|go ahead and|"
    r"make sure to|over(?= to\b)|robot)\b"
)
GERUNDS = {
    "opening": "open", "closing": "close", "shutting": "shut", "turning": "turn", "switching": "switch",
    "putting": "put", "placing": "place", "picking": "pick", "taking": "take", "pulling": "pull", "pushing": "push",
}  # fmt: skip
# Words whose meaning the rules would lose: a sentence with one of them is refused, with the reason.
UNSUPPORTED = {
    "not": "a negation", "don't": "a negation", "never": "a negation", "without": "a negation",
    "except": "an exception",
    "if": "a condition", "unless": "a condition", "when": "a condition", "until": "a duration", "while": "a duration",
    "or": "a choice", "either": "a choice", "instead": "a choice", "before": "an order other than the sentence's",
    "after": "an order other than the sentence's", "every": "an unknown number of things",
    "all": "an unknown number of things", "everything": "an unknown number of things",
    "something": "an unknown thing", "anything": "an unknown thing", "swap": "an exchange", "pour": "a liquid",
}  # fmt: skip

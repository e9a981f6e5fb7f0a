"""Objects in other colours and sizes: what stands in for the variants that LIBERO-PRO brings meshes for."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

COLORS: Mapping[str, tuple[float, float, float]] = {
    "red": (0.75, 0.12, 0.10),
    "yellow": (0.85, 0.75, 0.12),
    "green": (0.15, 0.55, 0.20),
    "blue": (0.12, 0.25, 0.70),
    "white": (0.92, 0.92, 0.90),
    "black": (0.06, 0.06, 0.06),
    "brown": (0.42, 0.26, 0.14),
}
BIGGER = 1.2
SHAPES = {"bowl": "white_bowl"}  # what a general word is drawn as
DRAWN_GROUP = "1"


@dataclass(frozen=True)
class Appearance:
    """How a replacement is shown.

    Attributes:
        category: LIBERO's.
        color: name of one of ``COLORS``; "": its own.
        scale: of all its lengths.
    """

    category: str
    color: str = ""
    scale: float = 1.0


def appearance_of(replacement: str, replaced: str, known: Iterable[str]) -> Appearance | None:
    """What stands in for LIBERO-PRO's object ``replacement``, which takes the place of ``replaced``.

    Args:
        known: categories that can be shown as they are.

    Returns:
        None: nothing does.
    """
    known = set(known)
    if replacement in known:
        return Appearance(replacement)
    word, _, rest = replacement.partition("_")
    category = rest if rest in known else SHAPES.get(rest, replaced)
    if word in COLORS:
        return Appearance(category, "" if rest in known and rest != replaced else word)
    return Appearance(category, scale=BIGGER) if word == "bigger" else None


def vary(xml: str, shown: Mapping[str, Appearance]) -> str:
    """The MJCF of a whole model with instances in other colours and sizes.

    Raises:
        ValueError: an instance has no body.
    """
    root = ET.fromstring(xml)
    bodies = {body.get("name"): body for body in root.iter("body")}
    for instance, appearance in shown.items():
        body = bodies.get(f"{instance}_main")
        if body is None:
            raise ValueError(f"the model has no body {instance}_main")
        if appearance.color:
            _color(body, COLORS[appearance.color])
        if appearance.scale != 1:
            _scale(root, body, appearance.scale)
    return ET.tostring(root, encoding="unicode")


def _color(body: ET.Element, color: tuple[float, float, float]) -> None:
    for geom in body.iter("geom"):
        if geom.get("group") == DRAWN_GROUP:
            geom.attrib.pop("material", None)
            geom.set("rgba", " ".join(f"{value:g}" for value in (*color, 1)))


def _scale(root: ET.Element, body: ET.Element, scale: float) -> None:
    for element in body.iter():
        if element is body or element.tag not in ("geom", "site", "body"):
            continue
        for name in ("pos", "size"):
            if element.get(name):
                element.set(name, _times(element.get(name), scale))
    used = {geom.get("mesh") for geom in body.iter("geom")}
    for mesh in root.iter("mesh"):
        if mesh.get("name") in used:
            mesh.set("scale", _times(mesh.get("scale", "1 1 1"), scale))


def _times(values: str, scale: float) -> str:
    return " ".join(f"{float(value) * scale:.8g}" for value in values.split())

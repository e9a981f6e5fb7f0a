"""Generated textures: labels with words and pictograms, drawn with Pillow and its built-in font."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from libero_bridge.scenes.meshes import BOX_ATLAS

Color = tuple[int, int, int] | str
Cell = tuple[int, int, int, int]
Painter = Callable[[ImageDraw.ImageDraw, Cell], None]


def plain(color: Color, size: tuple[int, int] = (8, 8)) -> Image.Image:
    """A one-colour image."""
    return Image.new("RGB", size, color)


def word(
    draw: ImageDraw.ImageDraw, box: Sequence[float], text: str, color: Color, outline: Color | None = None
) -> None:
    """Writes `text` as large as fits, centred in `box` (left, top, right, bottom)."""
    left, top, right, bottom = box
    stroke = 1 if outline is not None else 0
    size = 4
    while True:
        font = ImageFont.load_default(size + 1)
        x0, y0, x1, y1 = draw.multiline_textbbox((0, 0), text, font=font, stroke_width=stroke, spacing=1)
        if x1 - x0 > right - left or y1 - y0 > bottom - top or size > 60:
            break
        size += 1
    font = ImageFont.load_default(size)
    x0, y0, x1, y1 = draw.multiline_textbbox((0, 0), text, font=font, stroke_width=stroke, spacing=1)
    place = ((left + right - x0 - x1) / 2, (top + bottom - y0 - y1) / 2)
    options = {"fill": color, "font": font, "align": "center", "spacing": 1}
    draw.multiline_text(place, text, stroke_width=stroke, stroke_fill=outline, **options)


def bands(size: tuple[int, int], stripes: Sequence[tuple[float, Color]]) -> Image.Image:
    """Horizontal stripes: (fraction of the height at which the stripe ends, colour), from the top down."""
    image = Image.new("RGB", size, stripes[-1][1])
    draw = ImageDraw.Draw(image)
    start = 0
    for end, color in stripes:
        draw.rectangle((0, start, size[0], round(end * size[1]) - 1), fill=color)
        start = round(end * size[1])
    return image


def wrapped(stripes: Sequence[tuple[float, Color]], paint: Painter, cell: tuple[int, int] = (64, 96)) -> Image.Image:
    """A label for a `lathe`: the same picture three times around, so that every side tells what is inside.

    `stripes` is the ground (see `bands`); `paint` draws one copy.
    """
    one = bands(cell, stripes)
    paint(ImageDraw.Draw(one), (0, 0, cell[0] - 1, cell[1] - 1))
    image = Image.new("RGB", (3 * cell[0], cell[1]))
    for copy in range(3):
        image.paste(one, (copy * cell[0], 0))
    return image


def atlas(faces: Mapping[str, Painter], background: Color, cell: tuple[int, int] = (42, 64)) -> Image.Image:
    """The texture of a `box_mesh`: each face named in `faces` is painted upright, as seen from outside.

    The painter gets the drawing and its cell as (left, top, right, bottom).
    """
    image = Image.new("RGB", (3 * cell[0], 2 * cell[1]), background)
    draw = ImageDraw.Draw(image)
    for name, paint in faces.items():
        column, row = BOX_ATLAS[name]
        left, top = column * cell[0], row * cell[1]
        paint(draw, (left, top, left + cell[0] - 1, top + cell[1] - 1))
    return image


def grain(color: Color, size: tuple[int, int] = (64, 64), contrast: int = 14, seed: int = 0) -> Image.Image:
    """Wood: streaks along x around a base colour."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, contrast, (size[1], 1)) + rng.normal(0, contrast / 4, (size[1], size[0]))
    base = np.array(Image.new("RGB", (1, 1), color).getpixel((0, 0)), dtype=float)
    return Image.fromarray(np.clip(base + rows[..., None], 0, 255).astype(np.uint8))


def weave(light: Color, dark: Color, size: int = 126, cell: int = 6) -> Image.Image:
    """A basket weave: strands going over and under each other, `cell` pixels wide."""
    image = Image.new("RGB", (size, size), dark)
    draw = ImageDraw.Draw(image)
    for row in range(size // cell):
        for column in range(size // cell):
            x, y = column * cell, row * cell
            over = (row + column) % 2
            draw.rectangle((x + 1 - over, y + over, x + cell - 2 + over, y + cell - 1 - over), fill=light)
    return image

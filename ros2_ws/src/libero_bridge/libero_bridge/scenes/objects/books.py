"""Books standing upright: thickness along x, spine towards +y, height along z."""

from __future__ import annotations

from PIL import ImageDraw

from libero_bridge.scenes.builder import Model
from libero_bridge.scenes.meshes import box_mesh
from libero_bridge.scenes.objects.parts import BoxPart, add_contacts, between, slippery
from libero_bridge.scenes.textures import Cell, atlas, word

PAGES = (236, 228, 206)


def black_book() -> Model:
    """A thick black book with golden lines."""
    block = between((-0.0148, -0.0673, 0.0022), (0.0139, 0.043, 0.1366))
    return _book("black_book", block, mass=0.1559, cover=(28, 28, 32), ink=(206, 168, 70))


def yellow_book() -> Model:
    """A yellow book with a dark title."""
    block = between((-0.0101, -0.0488, 0.002), (0.0134, 0.0489, 0.1242))
    return _book("yellow_book", block, mass=0.1078, cover=(238, 190, 30), ink=(60, 40, 20))


def _book(name: str, block: BoxPart, mass: float, cover: tuple[int, int, int], ink: tuple[int, int, int]) -> Model:
    def front(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        left, up, right, down = cell
        draw.rectangle((left + 3, up + 3, right - 3, down - 3), outline=ink)
        word(draw, (left + 6, up + 8, right - 6, up + 24), "BOOK", ink)
        draw.line((left + 10, up + 30, right - 10, up + 30), fill=ink)

    def spine(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        left, up, right, down = cell
        for offset in (6, 9, 54, 57):
            draw.line((left, up + offset, right, up + offset), fill=ink)

    def pages(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        """The block of pages between the two covers, which lie along the left and right edges of this face."""
        left, up, right, down = cell
        draw.rectangle((left + 5, up, right - 5, down), fill=PAGES)
        for x in range(left + 8, right - 6, 4):
            draw.line((x, up, x, down), fill=(206, 196, 170))

    model = Model(name)
    model.placement_sites(bottom=-0.06, top=0.04, radius=0.025)
    body = model.object()
    add_contacts(body, slippery([block]), mass)
    faces = {"+x": front, "-x": front, "+y": spine, "-y": pages, "+z": pages, "-z": pages}
    look = model.material("cover", texture=atlas(faces, cover))
    body.visual(box_mesh(*block.shape.size), look, block.pos)
    return model

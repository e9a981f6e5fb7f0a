"""Arenas without furniture behind the robot: a table, the floor, a coffee table."""

from __future__ import annotations

from libero_bridge.scenes import surfaces
from libero_bridge.scenes.arenas.room import PLAIN, room, table_with_legs
from libero_bridge.scenes.builder import Model, box
from libero_bridge.scenes.fixtures.parts import board

PALE_WOOD = (198, 180, 162)


def tabletop() -> Model:
    """libero_spatial and libero_goal: a pale wooden table of 1.0 x 1.2 m, 0.9 m high."""
    model = room("tabletop_arena")
    wood = model.material("table_wood", texture=surfaces.wood(PALE_WOOD, contrast=5, size=256, seed=1))
    table_with_legs(model, wood, wood)
    return model


def floor() -> Model:
    """libero_object: things stand on the floor."""
    return room("floor_arena", floor_body=True)


def coffee_table() -> Model:
    """A long marble table, 0.42 m high, between two benches. No benchmark task uses it."""
    model = room("coffee_table_arena", floor_body=True, shine=0.2)
    marble = model.material("coffee_table_marble", texture=surfaces.marble((225, 224, 220), (170, 170, 172), seed=4))
    leather = model.material("bench_leather", texture=surfaces.plaster((122, 84, 58), contrast=8))
    table = model.world().body("coffee_table")
    table.contact(box(0.35, 0.80, 0.014), (0, 0.06, 0.41), name="coffee_table_collision", contact=PLAIN)
    table.visual(board(0.35, 0.80, 0.014, tile=0.6), marble, (0, 0.06, 0.41))
    table.visual(board(0.20, 0.55, 0.195), (0.25, 0.2, 0.18), (0, 0.06, 0.2))
    for y in (-1.25, 1.37):
        table.visual(board(0.35, 0.25, 0.20, tile=0.4), leather, (0, y, 0.2))
    return model

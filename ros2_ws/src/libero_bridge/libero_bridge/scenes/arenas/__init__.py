"""LIBERO's six arenas, and the floor and wall textures their styles choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from libero_bridge.scenes.arenas.kitchen import kitchen
from libero_bridge.scenes.arenas.living_room import living_room
from libero_bridge.scenes.arenas.plain import coffee_table, floor, tabletop
from libero_bridge.scenes.arenas.study import study
from libero_bridge.scenes.builder import Model

ASSETS: Mapping[str, Callable[[], Model]] = {
    "scenes/libero_tabletop_base_style.xml": tabletop,
    "scenes/libero_floor_base_style.xml": floor,
    "scenes/libero_coffee_table_base_style.xml": coffee_table,
    "scenes/libero_kitchen_tabletop_base_style.xml": kitchen,
    "scenes/libero_living_room_tabletop_base_style.xml": living_room,
    "scenes/libero_study_base_style.xml": study,
}

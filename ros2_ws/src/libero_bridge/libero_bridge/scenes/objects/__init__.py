"""Movable objects: generators by LIBERO's asset path."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from libero_bridge.scenes.builder import Model
from libero_bridge.scenes.objects import books, bottles, cans, cartons, containers, cookware, dishes, mugs

Generator = Callable[[], Model]

_FOLDERS: Mapping[str, tuple[Generator, ...]] = {
    "stable_hope_objects": (
        cans.alphabet_soup,
        cans.tomato_sauce,
        cartons.butter,
        cartons.cream_cheese,
        cartons.chocolate_pudding,
        cartons.cookies,
        cartons.milk,
        cartons.orange_juice,
        bottles.ketchup,
        bottles.bbq_sauce,
        bottles.salad_dressing,
        bottles.new_salad_dressing,
    ),
    "stable_scanned_objects": (
        dishes.akita_black_bowl,
        dishes.white_bowl,
        dishes.glazed_rim_porcelain_ramekin,
        dishes.plate,
        containers.basket,
        cookware.chefmate_8_frypan,
    ),
    "turbosquid_objects": (
        mugs.porcelain_mug,
        mugs.red_coffee_mug,
        mugs.white_yellow_mug,
        cookware.moka_pot,
        bottles.wine_bottle,
        books.black_book,
        books.yellow_book,
        containers.wooden_tray,
    ),
}

ASSETS: Mapping[str, Generator] = {
    f"{folder}/{generator.__name__}/{generator.__name__}.xml": generator
    for folder, generators in _FOLDERS.items()
    for generator in generators
}

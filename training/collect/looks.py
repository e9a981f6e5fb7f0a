"""How renderings of demonstrations are varied: another camera, lights, surfaces and sensor noise for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from substep_core.configuration import configuration

if TYPE_CHECKING:
    from libero_bridge.look import VariedLook
    from libero_bridge.plus.names import CameraView

MOST_TURN = 75  # degrees that the scene camera goes around the table, either way
RAISE = 15  # degrees that it goes up, in half of these
FURTHEST = 200  # percent of its distance
MOST_ASIDE = 10  # degrees that it looks aside and up, either way


@configuration
class LookVariation:
    """Each demonstration draws its look, a function of the seed and of which one it is.

    The ranges are those of LIBERO-plus; none of its tasks' own lights and surfaces is drawn, for they are functions of
    other names. A rendering in which nothing is varied remains as it was.

    Attributes:
        seed: another one, another rendering of the same demonstrations.
        camera, lights, surfaces, noise: share of the demonstrations in which each of these is another.
    """

    seed: int = Field(default=0, ge=0)
    camera: float = Field(default=0.6, ge=0, le=1)
    lights: float = Field(default=0.4, ge=0, le=1)
    surfaces: float = Field(default=0.5, ge=0, le=1)
    noise: float = Field(default=0.3, ge=0, le=1)

    def draw(self, *place: str) -> VariedLook:
        """The look of a demonstration.

        Args:
            place: what tells it from others: suite, task, number.
        """
        from libero_bridge.look import VariedLook
        from libero_bridge.plus.looks import generator_of
        from libero_bridge.plus.names import MOST_NOISES

        name = "/".join((f"look {self.seed}", *place))
        generator = generator_of(name)
        varied = generator.random(4) < (self.camera, self.lights, self.surfaces, self.noise)
        view, noise = _view(generator), int(generator.integers(1, MOST_NOISES + 1))
        return VariedLook(
            name, view if varied[0] else None, bool(varied[1]), bool(varied[2]), noise if varied[3] else 0
        )


def _view(generator: np.random.Generator) -> CameraView:
    """Around the table, at half of the places also from above; or further away; or looking past the table."""
    from libero_bridge.plus.names import CameraView

    kind = generator.choice(("around", "further", "aside"), p=(0.6, 0.2, 0.2))
    if kind == "around":
        around = int(generator.integers(-MOST_TURN, MOST_TURN + 1))
        return CameraView(horizontal=around, vertical=int(generator.choice((0, RAISE))))
    if kind == "further":
        return CameraView(scale=int(generator.integers(100, FURTHEST + 1)))
    turned, tilted = generator.integers(-MOST_ASIDE, MOST_ASIDE + 1, 2)
    return CameraView(turned=int(turned), tilted=int(tilted))

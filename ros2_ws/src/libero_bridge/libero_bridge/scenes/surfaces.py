"""Generated seamless textures of what rooms and furniture are made of: wood, planks, tiles, marble, plaster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from libero_bridge.scenes.builder import png

Color = tuple[int, int, int]
JOINT = 2  # pixels between boards and between tiles


def wood(color: Color, contrast: float = 8.0, size: int = 128, seed: int = 0) -> Image.Image:
    """Wood with the grain along x: long streaks and broad, slightly wavy bands around a base colour."""
    streaks = _noise(seed, size, (0.7, size / 6))
    bands = _noise(seed + 1, size, (size / 24, size / 5))
    return _image(color, contrast * (0.6 * streaks + 0.8 * bands))


def planks(
    color: Color, joint: Color, rows: int, contrast: float = 8.0, shade: float = 4.0, size: int = 192, seed: int = 0
) -> Image.Image:
    """Boards along x in `rows` staggered rows, one to a row and each of its own shade, with joints between."""
    rng = np.random.default_rng(seed)
    grain = contrast * _noise(seed, size, (0.8, size / 8))
    is_joint = np.zeros((size, size), bool)
    edges = np.linspace(0, size, rows + 1).astype(int)
    for row, (top, bottom) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        grain[top:bottom] += rng.normal(0, shade)
        is_joint[top : top + JOINT] = True
        end = int(size * (0.25 + 0.5 * (row % 2) + 0.2 * rng.random())) % size
        is_joint[top:bottom, end : end + JOINT] = True
    return _image(color, grain, is_joint, joint)


def tiles(
    color: Color, joint: Color, count: int, contrast: float = 10.0, size: int = 192, seed: int = 0
) -> Image.Image:
    """`count` x `count` square tiles with cloudy veins and joints between."""
    step = size // count
    is_joint = np.zeros((size, size), bool)
    for offset in range(JOINT):
        is_joint[offset::step, :] = is_joint[:, offset::step] = True
    return _image(color, contrast * _noise(seed, size, (size / 20, size / 16)), is_joint, joint)


def marble(color: Color, vein: Color, contrast: float = 5.0, size: int = 192, seed: int = 0) -> Image.Image:
    """Clouds with thin veins."""
    ridge = np.abs(_noise(seed, size, (size / 14, size / 10)))
    return _image(color, contrast * _noise(seed + 1, size, (size / 12,) * 2), ridge < 0.05, vein)


def plaster(color: Color, contrast: float = 3.0, scale: float = 2.0, size: int = 128, seed: int = 0) -> Image.Image:
    """A matt wall: specks of about `scale` pixels over faint clouds."""
    specks = _noise(seed, size, (scale, scale))
    clouds = _noise(seed + 1, size, (size / 8, size / 8))
    return _image(color, contrast * (0.7 * specks + 0.5 * clouds))


def linen(color: Color, contrast: float = 6.0, size: int = 128, seed: int = 0) -> Image.Image:
    """Woven wallpaper: threads up and across."""
    return _image(color, contrast * (_noise(seed, size, (8, 0.6)) + 0.5 * _noise(seed + 1, size, (0.6, 8))))


# LIBERO's floor and wall styles: file in the asset tree's textures/ -> generator.
STYLES: Mapping[str, Callable[[], Image.Image]] = {
    "dark_floor_texture.png": lambda: planks((57, 53, 47), (44, 40, 36), 8),
    "rustic_floor.png": lambda: planks((162, 162, 157), (110, 108, 102), 6, contrast=16, shade=12),
    "light-gray-floor-tile.png": lambda: planks((195, 186, 177), (238, 235, 230), 4, contrast=5),
    "white_marble_floor.png": lambda: marble((235, 235, 235), (196, 196, 200)),
    "seamless_wood_planks_floor.png": lambda: planks((233, 200, 137), (206, 168, 104), 10, contrast=7, shade=6),
    "brown_ceramic_tile.png": lambda: tiles((177, 152, 131), (202, 186, 168), 2),
    "gray_ceramic_tile.png": lambda: tiles((186, 171, 155), (208, 198, 184), 3),
    "tile_grigia_caldera_porcelain_floor.png": lambda: planks((195, 186, 177), (232, 228, 222), 4, seed=5),
    "light_blue_wall.png": lambda: plaster((186, 225, 244)),
    "dark_blue_wall.png": lambda: plaster((102, 145, 171), contrast=10, scale=1.2),
    "dark_gray_plaster.png": lambda: plaster((97, 106, 113), contrast=5, scale=5),
    "gray_plaster.png": lambda: plaster((236, 238, 235), contrast=8, scale=4),
    "dark_green_plaster_wall.png": lambda: plaster((40, 70, 50), contrast=4, scale=1),
    "light-gray-plaster.png": lambda: plaster((223, 219, 212)),
    "ceramic.png": lambda: plaster((249, 248, 243), contrast=1.5, scale=6),
    "white_wall.png": lambda: plaster((234, 236, 233), contrast=2, scale=4),
    "yellow_linen_wall_texture.png": lambda: linen((220, 213, 180)),
}


@dataclass(frozen=True)
class StyleTexture:
    """An asset that is one picture and no model."""

    image: Image.Image

    def files(self, name: str) -> Mapping[str, bytes]:
        """File name -> content, as `Model.files` gives it."""
        return {name: png(self.image)}


ASSETS: Mapping[str, Callable[[], StyleTexture]] = {
    f"textures/{file}": lambda paint=paint: StyleTexture(paint()) for file, paint in STYLES.items()
}


def _noise(seed: int, size: int, sigma: tuple[float, float]) -> np.ndarray:
    """(size, size) smooth noise of unit variance that wraps around; sigma (rows, columns) in pixels."""
    from scipy.ndimage import gaussian_filter  # takes 0.3 s to load, and most processes with a world paint nothing

    field = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), sigma, mode="wrap")
    return field / field.std()


def _image(color: Color, shade: np.ndarray, mask: np.ndarray | None = None, masked: Color | None = None) -> Image.Image:
    pixels = np.array(color, float) + shade[..., None]
    if mask is not None:
        pixels[mask] = masked
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

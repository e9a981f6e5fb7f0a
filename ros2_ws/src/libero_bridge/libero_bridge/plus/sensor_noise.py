"""LIBERO-plus's sensor noise on a camera's picture: five kinds in ten severities each.

The benchmark draws its noise unseeded, so that no two of its runs are alike; here a generator is given. Its lengths in
pixels are of pictures of 256 x 256: others are brought to that size and back. Kinds and severities are those of its
task names, the filters those of the common corruptions of Hendrycks and Dietterich (2019), which it took over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from scipy import ndimage

SIZE = 256  # px
SEVERITIES = 10
MOTION = ((5, 2), (8, 3), (10, 4), (12, 5), (15, 6), (18, 8), (20, 10), (25, 12), (30, 15), (35, 20))  # radius, sigma
MOST_ANGLE = 45  # degrees, either way, of motion
ZOOM = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03),
        (1.36, 0.01), (1.41, 0.01), (1.46, 0.02), (1.51, 0.02), (1.56, 0.03))  # up to, step  # fmt: skip
FOG = ((0.5, 3), (1, 2.8), (1.5, 2.5), (2, 2.2), (2.5, 2), (3, 1.8), (3.5, 1.6), (4, 1.5), (4.5, 1.4), (5, 1.3))
GLASS = ((0.5, 1, 3), (0.7, 1, 3), (0.9, 2, 3), (1, 2, 2), (1.1, 3, 2),
         (1.3, 3, 2), (1.5, 4, 2), (1.8, 4, 2), (2.2, 5, 1), (2.5, 5, 1))  # sigma, furthest, rounds  # fmt: skip
WIBBLE = 100.0  # of the fog's coarsest step

Picture = np.ndarray  # (256, 256, 3) float64 RGB, 0 to 1, upside down as the benchmark's simulator gives it


def noisy(image: np.ndarray, number: int, generator: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright -> the same with noise ``number``, 1 to 50."""
    kind, severity = divmod(number - 1, SEVERITIES)
    height, width = image.shape[:2]
    picture = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)[::-1] / 255.0
    picture = np.clip(KINDS[kind](picture, severity, generator), 0, 1)[::-1]
    made = np.ascontiguousarray(picture * 255).astype(np.uint8)
    return cv2.resize(made, (width, height), interpolation=cv2.INTER_AREA)


def motion_blur(picture: Picture, severity: int, generator: np.random.Generator) -> Picture:
    """Half a Gaussian to one side along a line, as ImageMagick's motion blur has it."""
    radius, sigma = MOTION[severity]
    angle = np.radians(generator.uniform(-MOST_ANGLE, MOST_ANGLE))
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    kernel = np.zeros((4 * radius + 3,) * 2)
    middle = len(kernel) // 2
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        across, down = np.ceil(step * np.array([np.cos(angle), np.sin(angle)]) - 0.5).astype(int)
        kernel[middle + down, middle + across] += weight
    return cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def gaussian_blur(picture: Picture, severity: int, generator: np.random.Generator) -> Picture:
    return _gaussian(picture, severity + 1)


def zoom_blur(picture: Picture, severity: int, generator: np.random.Generator) -> Picture:
    """The mean of the picture and of enlargements of it."""
    most, step = ZOOM[severity]
    factors = np.arange(1, most, step)
    return (picture + sum(_enlarged(picture, factor) for factor in factors)) / (len(factors) + 1)


def fog(picture: Picture, severity: int, generator: np.random.Generator) -> Picture:
    """Clouds of a plasma fractal, brightness rescaled."""
    amount, decay = FOG[severity]
    brightest = picture.max()
    clouds = _plasma(generator, decay)[..., None]
    return (picture + amount * clouds) * brightest / (brightest + amount)


def glass_blur(picture: Picture, severity: int, generator: np.random.Generator) -> Picture:
    """Blurred, each pixel taken from a neighbour, blurred again.

    The original means to exchange two pixels, but numpy's views make one a copy of the other; so it is here.
    """
    sigma, furthest, rounds = GLASS[severity]
    pixels = (np.clip(_gaussian(picture, sigma), 0, 1) * 255).astype(np.uint8)
    offsets = generator.integers(-furthest, furthest, (rounds, SIZE, SIZE, 2))
    _compiled_shuffle()(pixels, offsets, furthest)
    return _gaussian(pixels / 255.0, sigma)


KINDS: tuple[Callable[[Picture, int, np.random.Generator], Picture], ...] = (
    motion_blur, gaussian_blur, zoom_blur, fog, glass_blur,
)  # fmt: skip


def _gaussian(picture: Picture, sigma: float) -> Picture:
    return ndimage.gaussian_filter(picture, (sigma, sigma, 0), mode="nearest", truncate=4.0)


def _enlarged(picture: Picture, factor: float) -> Picture:
    """The middle of the picture, enlarged to its size."""
    side = int(np.ceil(SIZE / factor))
    enlarged = round(side * factor)
    step = (side - 1) / (enlarged - 1)  # corners stay corners
    first = (SIZE - side) // 2 + (enlarged - SIZE) // 2 * step
    to_source = np.array([[step, 0, first], [0, step, first]])
    return cv2.warpAffine(picture, to_source, (SIZE, SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _plasma(generator: np.random.Generator, decay: float) -> np.ndarray:
    """(256, 256), 0 to 1: a plasma fractal by the diamond-square algorithm, on a grid that wraps around.

    Args:
        decay: what the roughness is divided by from one step to the next finer one.
    """
    clouds, step, wibble = np.zeros((SIZE, SIZE)), SIZE, WIBBLE

    def drawn(total: np.ndarray) -> np.ndarray:
        return total / 4 + wibble * generator.uniform(-wibble, wibble, total.shape)

    while step >= 2:
        half = step // 2
        corners = clouds[::step, ::step]
        total = corners + np.roll(corners, -1, 0)
        clouds[half::step, half::step] = drawn(total + np.roll(total, -1, 1))
        middles = clouds[half::step, half::step]
        above_below = middles + np.roll(middles, 1, 0)
        clouds[::step, half::step] = drawn(above_below + corners + np.roll(corners, -1, 1))
        beside = middles + np.roll(middles, 1, 1)
        clouds[half::step, ::step] = drawn(beside + corners + np.roll(corners, -1, 0))
        step, wibble = half, wibble / decay
    clouds -= clouds.min()
    return clouds / clouds.max()


@lru_cache(maxsize=1)
def _compiled_shuffle() -> Callable[[np.ndarray, np.ndarray, int], None]:
    """Each pixel depends on those before it: a loop, compiled when it is first wanted."""
    import numba

    @numba.njit
    def shuffle(pixels, offsets, furthest):
        for turn in range(offsets.shape[0]):
            for row in range(pixels.shape[0] - furthest, furthest, -1):
                for column in range(pixels.shape[1] - furthest, furthest, -1):
                    across, down = offsets[turn, row, column]
                    pixels[row, column] = pixels[row + down, column + across]

    return shuffle

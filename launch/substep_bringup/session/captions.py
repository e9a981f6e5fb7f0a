"""Video frames: the cameras side by side, enlarged, with a caption below."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from substep_bringup.session.tracker import Progress, eos_text

PANEL_HEIGHT = 384  # pixels of one camera in the video
CAPTION_HEIGHT = 64
FONT_SIZE = 20
SMALLEST_FONT_SIZE = 12
MARGIN = 12
BACKGROUND, BRIGHT, DIM, GREEN = (18, 18, 22), (240, 240, 240), (170, 170, 180), (110, 220, 120)


def caption_lines(progress: Progress) -> tuple[str, str]:
    """Two lines: the active substep, and the figures."""
    figures = f"step {progress.episode_steps}"
    if progress.success:
        return "success: the goal holds", figures
    if not progress.instruction:
        return progress.hold_reason or "no active substep", figures
    figures += f"   in this substep {progress.substep_steps}   EOS {eos_text(progress)}"
    return f"{progress.index + 1}/{progress.count}  {progress.instruction}", figures


def frame_size(images: Sequence[np.ndarray]) -> tuple[int, int]:
    """(width, height) in pixels of the frame that ``compose`` makes; both even, as H.264 wants them."""
    return sum(_panel_width(image) for image in images), PANEL_HEIGHT + CAPTION_HEIGHT


def compose(images: Sequence[np.ndarray], progress: Progress) -> np.ndarray:
    """Cameras side by side over a caption.

    Args:
        images: (H, W, 3) uint8 RGB, one for each camera.

    Returns:
        uint8 RGB of ``frame_size``.
    """
    panels = [cv2.resize(image, (_panel_width(image), PANEL_HEIGHT), interpolation=cv2.INTER_CUBIC) for image in images]
    row = np.hstack(panels)
    title, figures = caption_lines(progress)
    return np.vstack([row, _strip(title, figures, row.shape[1], progress.success)])


def _panel_width(image: np.ndarray) -> int:
    return max(2, round(PANEL_HEIGHT * image.shape[1] / image.shape[0] / 2) * 2)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # comes with Pillow, so it is there on every machine


@lru_cache(maxsize=32)
def _strip(title: str, figures: str, width: int, success: bool) -> np.ndarray:
    """(CAPTION_HEIGHT, width, 3) uint8."""
    image = Image.new("RGB", (width, CAPTION_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(image)
    text, font = _fit(draw, title, width - 2 * MARGIN)
    draw.text((MARGIN, 19), text, font=font, fill=GREEN if success else BRIGHT, anchor="lm")
    draw.text((MARGIN, 47), figures, font=_font(FONT_SIZE - 4), fill=DIM, anchor="lm")
    return np.asarray(image)


def _fit(draw: ImageDraw.ImageDraw, text: str, width: int) -> tuple[str, ImageFont.FreeTypeFont]:
    """Smaller letters for a long text, and an ellipsis for one that is too long even then."""
    for size in range(FONT_SIZE, SMALLEST_FONT_SIZE - 1, -1):
        if draw.textlength(text, font=_font(size)) <= width:
            return text, _font(size)
    while draw.textlength(text + "...", font=_font(SMALLEST_FONT_SIZE)) > width:
        text = text[:-1]
    return text + "...", _font(SMALLEST_FONT_SIZE)

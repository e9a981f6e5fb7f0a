"""Writes ``golden_images.npz``: what the published image pipeline, TensorFlow's, makes of a few images.

Runs in an environment of its own with TensorFlow and Pillow, on the published code's own functions:

    python make_image_golden.py openvla-oft/experiments/robot/openvla_utils.py
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

HERE = Path(__file__).parent
FILE = HERE / "golden_images.npz"
FRAMES = HERE.parent / "golden" / "compact_chunks.npz"
FUNCTIONS = ("resize_image_for_policy", "crop_and_resize", "center_crop_image", "check_image_format")
TOY, PUBLISHED = 56, 224  # sides of images


def published_functions(source: Path) -> dict[str, Any]:
    """Image functions of the published module, without its other imports."""
    import tensorflow as tf
    from PIL import Image

    names: dict[str, Any] = {"tf": tf, "np": np, "Image": Image}
    exec("from typing import Any, Dict, List, Optional, Tuple, Union", names)
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name in (*FUNCTIONS, "prepare_images_for_vla"):
            exec(compile(ast.Module([node], []), str(source), "exec"), names)
    return names


def images() -> dict[str, np.ndarray]:
    """(H, W, 3) uint8 as the published code has them: LIBERO's rendering turned by 180°, mirrored against ours."""
    frames = np.load(FRAMES)
    noise = np.random.RandomState(0).randint(0, 256, (37, 51, 3), dtype=np.uint8)
    return {camera: frames[f"1/{camera}"][:, ::-1] for camera in ("agentview", "eye_in_hand")} | {"noise": noise}


def answers(published: dict[str, Any]) -> dict[str, np.ndarray]:
    tf, found = published["tf"], {}
    for name, image in images().items():
        data = tf.image.encode_jpeg(image).numpy()
        found[f"{name}/jpeg"] = np.frombuffer(data, np.uint8)
        found[f"{name}/decoded"] = tf.io.decode_image(data, expand_animations=False).numpy()
        for size in (TOY, PUBLISHED) if name == "agentview" else (TOY,):
            found[f"{name}/resized/{size}"] = published["resize_image_for_policy"](image, size)
        published["OPENVLA_IMAGE_SIZE"] = TOY
        resized = found[f"{name}/resized/{TOY}"]
        (prepared,) = published["prepare_images_for_vla"]([resized], SimpleNamespace(center_crop=True))
        found[f"{name}/prepared/{TOY}"] = np.asarray(prepared)
    return found


if __name__ == "__main__":
    np.savez_compressed(FILE, **answers(published_functions(Path(sys.argv[1]))))

"""Makes the folder that ships: ``./substep checkpoint export CHECKPOINT --out FOLDER``.

A compact model: weights in half precision as safetensors only. An OpenVLA: adapters merged, in the published layout.
With it go configuration, statistics, tokenizer, and what it was trained on.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.models.normalization import STATISTICS_FILE
from training.checkpoints.calibrate import CALIBRATION_FILE
from training.train.config import CONFIG_FILE, read_config
from training.train.models import model_training

KEPT = (STATISTICS_FILE, TOKENIZER_FILE, CONFIG_FILE, CALIBRATION_FILE)


def export(checkpoint: Path, out: Path) -> int:
    """Write the folder; -> its size in bytes.

    Raises:
        ValueError: it is no checkpoint of a training.
        CheckpointError: the checkpoint is incomplete.
    """
    if not (checkpoint / CONFIG_FILE).is_file():
        raise ValueError(f"{checkpoint} is no checkpoint of a training: it has no {CONFIG_FILE}")
    out.mkdir(parents=True, exist_ok=True)
    model_training(read_config(checkpoint / CONFIG_FILE)).export(checkpoint, out)
    for name in KEPT:
        if (checkpoint / name).exists():
            shutil.copy(checkpoint / name, out / name)
    return sum(path.stat().st_size for path in out.iterdir())

"""Makes the folder that ships: ``python -m training.export runs/compact/checkpoints/step_0030000 OUT``.

A compact model: weights in half precision as safetensors only. An OpenVLA: adapters merged, in the published layout.
With it go configuration, statistics, tokenizer, and what it was trained on.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from substep_policy.instruction_tokens import TOKENIZER_FILE
from substep_policy.normalization import STATISTICS_FILE
from training.calibrate import CALIBRATION_FILE
from training.config import CONFIG_FILE, read_config
from training.models import model_kind

KEPT = (STATISTICS_FILE, TOKENIZER_FILE, CONFIG_FILE, CALIBRATION_FILE)


def export(checkpoint: Path, out: Path) -> int:
    """Write the folder; -> its size in bytes.

    Raises:
        CheckpointError: the checkpoint is incomplete.
    """
    out.mkdir(parents=True, exist_ok=True)
    model_kind(read_config(checkpoint / CONFIG_FILE)).export(checkpoint, out)
    for name in KEPT:
        if (checkpoint / name).exists():
            shutil.copy(checkpoint / name, out / name)
    return sum(path.stat().st_size for path in out.iterdir())


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments)
    try:
        print(f"{options.out}: {export(options.checkpoint, options.out) / 1e6:.1f} MB")
    except (ValueError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

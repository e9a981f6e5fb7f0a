"""Replaces the absolute paths that ROS wheels carry in their CMake files from the machine that built them.

Run with the virtual environment's own interpreter, once, after installation.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

FOREIGN_NUMPY = re.compile(r"/opt/python/[^;\"]*/numpy/(?:_core|core)/include")
FOREIGN_PYTHON = re.compile(r"/opt/python/[^;\"]*/include/python3\.\d+")


def main() -> None:
    replacements = ((FOREIGN_NUMPY, numpy.get_include()), (FOREIGN_PYTHON, sysconfig.get_paths()["include"]))
    for path in Path(sys.prefix, "share").glob("*/cmake/*.cmake"):
        text = mended = path.read_text(encoding="utf-8")
        for pattern, real in replacements:
            mended = pattern.sub(lambda _, real=real: real, mended)
        if mended != text:
            path.write_text(mended, encoding="utf-8")


if __name__ == "__main__":
    main()

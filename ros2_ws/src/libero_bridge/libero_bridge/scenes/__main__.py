"""`python -m libero_bridge.scenes check|export`: the check of the scene pack, or the pack as files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from libero_bridge.scenes.check.command import main as check
from libero_bridge.scenes.pack import write_pack


def main(arguments: Sequence[str]) -> int:
    """Runs the named command; its options follow it."""
    commands = {"check": check, "export": _export}
    if not arguments or arguments[0] not in commands:
        print(f"usage: substep scenes {'|'.join(commands)} [options]", file=sys.stderr)
        return 2
    return commands[arguments[0]](arguments[1:])


def _export(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="substep scenes export", description="Writes the scene pack into a folder.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    write_pack(folder)
    print(f"wrote {sum(1 for file in folder.rglob('*') if file.is_file())} files to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

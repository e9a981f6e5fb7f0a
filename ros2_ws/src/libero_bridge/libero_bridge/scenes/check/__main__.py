"""`python -m libero_bridge.scenes.check`."""

from __future__ import annotations

import sys

from libero_bridge.scenes.check.command import main

if __name__ == "__main__":
    sys.exit(main())

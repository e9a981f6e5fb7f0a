"""``python -m substep_cli``: what ``./substep`` hands over to."""

from __future__ import annotations

import sys

from substep_cli.grammar import main

if __name__ == "__main__":
    sys.exit(main())

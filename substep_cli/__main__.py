"""``python -m substep_cli``: what ``./substep`` hands over to."""

from __future__ import annotations

import sys

INTERRUPTED = 130

if __name__ == "__main__":
    try:
        from substep_cli.grammar import main  # takes long enough to be interrupted
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(main())

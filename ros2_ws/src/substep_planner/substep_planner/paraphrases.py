"""Other wordings of LIBERO's instructions: suite -> instruction -> wordings. Written by hand, for evaluation only."""

from __future__ import annotations

import json
from importlib.resources import files

Paraphrases = dict[str, dict[str, list[str]]]


def shipped_paraphrases() -> Paraphrases:
    """The wordings that ship with the project; every one of them asks for the same motions as its instruction."""
    return json.loads((files("substep_planner") / "data" / "paraphrases.json").read_text(encoding="utf-8"))

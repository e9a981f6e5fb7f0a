"""Instructions as files have them: one of an episode, or one of every timestep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from libero_bridge.tasks import without_scene
from substep_core.plan import Substep
from training.data.readers.demonstration import DemonstrationError
from training.labels.file import UNLABELLED, EpisodeLabels

# LIBERO-plus keeps what it changed of a task at the end of the task's name, and its data have that in the instruction:
# camera, robot and noise …
_VIEW = re.compile(r"[ _]view(?:[ _]-?\d+){5}[ _]initstate[ _]\d+(?:[ _]noise[ _]\d+)?$")
# … or table, wall, light, added objects and moved ones.
_SCENERY = re.compile(r"_(?:light|add|table|tb)_\d+$|(?:_moved)?_level\d+_sample\d+$")
_NOTATION = re.compile(
    r"""b(['"]).*\1|\[ *b?['"].*\]|\( *b?['"].*\)""", re.DOTALL
)  # Python's, of what str() was applied to
_WORDING = re.compile(r"[ _]language[ _]\d+$")


def read_instruction(value: object) -> str:
    """What a file has for an instruction -> the text as training says it: lower case, without what is no instruction.

    Args:
        value: a text, UTF-8 bytes, or a list of words or letters, such as LIBERO's own files have.

    Raises:
        DemonstrationError: it is none of these or empty, or it names a wording that it does not have.
    """
    if isinstance(value, (list, tuple, np.ndarray)):
        parts = [_text(part) for part in value]
        value = ("" if all(len(part) == 1 for part in parts) else " ").join(parts)
    text = _VIEW.sub("", _text(value).strip().strip('"').strip())
    if _NOTATION.fullmatch(text):
        raise DemonstrationError(f"the instruction {text!r} is a list or bytes written out as text, expected the words")
    if _WORDING.search(text):
        raise DemonstrationError(
            f"the instruction {text!r} names a LIBERO-plus task in another wording, which its BDDL file alone has"
        )
    text = " ".join(text.lower().split())
    if not text:
        raise DemonstrationError("the instruction is empty")
    return text


def instruction_of_name(task: str) -> str:
    """The instruction in a task's name: without LIBERO's scene in front and LIBERO-plus's changes at the end.

    Raises:
        DemonstrationError: as ``read_instruction``.
    """
    return read_instruction(_SCENERY.sub("", _VIEW.sub("", without_scene(task))).replace("_", " "))


def read_steps(tasks: Sequence[str], subtasks: Sequence[str] | None = None) -> tuple[str, EpisodeLabels | None]:
    """What the timesteps of an episode say -> its instruction, and its substeps where they say more than that.

    Several tasks in a row are one after the other, each a substep; subtasks are substeps of any task.

    Args:
        tasks: of each of the T timesteps, as ``read_instruction`` gives it.
        subtasks: of each; empty where there is none.
    """
    named = list(dict.fromkeys(tasks))
    instruction = ", then ".join(named)
    texts = list(tasks) if len(named) > 1 else [""] * len(tasks)
    if subtasks is not None:
        texts = [subtask or text for subtask, text in zip(subtasks, texts, strict=True)]
    return instruction, _labels(instruction, texts) if any(texts) else None


def _labels(instruction: str, texts: Sequence[str]) -> EpisodeLabels:
    """A substep for every run of the same text; no text: unlabelled."""
    index, is_end = np.full(len(texts), UNLABELLED), np.zeros(len(texts), bool)
    substeps: list[Substep] = []
    start = 0
    for text, run in groupby(texts):
        end = start + len(list(run))
        if text:
            index[start:end], is_end[end - 1] = len(substeps), True
            substeps.append(Substep(text, ""))
        start = end
    return EpisodeLabels(instruction, tuple(substeps), index, is_end, np.zeros(len(texts), int))


def _text(value: object) -> str:
    if isinstance(value, (bytes, np.bytes_)):
        return value.decode()
    if not isinstance(value, str):
        raise DemonstrationError(f"the instruction is {type(value).__name__} {value!r}, expected text")
    return value

"""Definitions of message types as a bag carries them, so that programs without this project can read it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.interfaces import Nodetype
from rosbags.typesys import get_types_from_msg

SEPARATOR = "=" * 80 + "\n"
ENCODING = "ros2msg"  # MCAP's name for concatenated .msg files
FEEDBACK, FEEDBACK_MESSAGE = "_Feedback", "_FeedbackMessage"  # what ROS makes of an action's third part
FEEDBACK_PART = 2


class UnknownType(LookupError):
    """A message type whose definition is not installed; the message names it."""


@dataclass(frozen=True)
class MessageType:
    """A message type.

    Attributes:
        name: as ROS writes it: "sensor_msgs/msg/Image".
        definition: its .msg text, followed by those of all the types in it.
        hash: ROS's own of the definition, "RIHS01_…".
        encoding: MCAP's name for the form of the definition.
    """

    name: str
    definition: str
    hash: str
    encoding: str = ENCODING


@cache
def message_type(name: str) -> MessageType:
    """The type of that name, from the installed interface packages.

    Raises:
        UnknownType: its package, or that of a type in it, is not installed.
    """
    first, *others = _with_parts(name)
    parts = [_text(first), *(f"{SEPARATOR}MSG: {_written(part)}\n{_text(part)}" for part in others)]
    return MessageType(name, "\n".join(part.rstrip("\n") for part in parts) + "\n", _hash(name))


def _with_parts(name: str) -> list[str]:
    """The type and all types in it, each once."""
    found, waiting = [], [name]
    while waiting:
        kind = waiting.pop(0)
        if kind not in found:
            found.append(kind)
            waiting += _parts(kind)
    return found


def _parts(name: str) -> list[str]:
    (_, fields) = get_types_from_msg(_text(name), name)[name]
    return [kind for _, description in fields if (kind := _part(description)) is not None]


def _part(description: tuple) -> str | None:
    """The message type in the description of a field; None for numbers and texts."""
    kind, detail = description
    if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        return _part(detail[0])
    return detail if kind is Nodetype.NAME else None


def _written(name: str) -> str:
    """As types refer to each other: without "msg"."""
    package, kind, short = name.split("/")
    return f"{package}/{short}" if kind == "msg" else name


@cache
def _text(name: str) -> str:
    package, kind, short = name.split("/")
    if kind == "msg":
        return _file(package, f"msg/{short}.msg", name).read_text(encoding="utf-8")
    if short.endswith(FEEDBACK_MESSAGE):
        feedback = f"{package}/{kind}/{short.removesuffix(FEEDBACK_MESSAGE)}{FEEDBACK}"
        return f"unique_identifier_msgs/UUID goal_id\n{feedback} feedback\n"
    action = _file(package, f"action/{short.removesuffix(FEEDBACK)}.action", name).read_text(encoding="utf-8")
    return _absolute(action.split("\n---\n")[FEEDBACK_PART], package)


def _absolute(text: str, package: str) -> str:
    """References to types of the action's own package are to its messages."""
    (_, fields) = next(iter(get_types_from_msg(text, f"{package}/action/X").values()))
    for _, description in fields:
        own = (_part(description) or "").removeprefix(f"{package}/action/")
        if own and "/" not in own:
            text = text.replace(f"\n{own}", f"\n{package}/{own}")
    return text


def _hash(name: str) -> str:
    package, kind, short = name.split("/")
    base = short.removesuffix(FEEDBACK_MESSAGE) if kind == "action" else short
    described = json.loads(_file(package, f"{kind}/{base}.json", name).read_text(encoding="utf-8"))
    return next(item["hash_string"] for item in described["type_hashes"] if item["type_name"] == name)


def _file(package: str, path: str, wanted: str) -> Path:
    try:
        file = Path(get_package_share_directory(package), path)
    except PackageNotFoundError as error:
        raise UnknownType(f"no definition of {wanted}: package {package!r} is not installed") from error
    if not file.is_file():
        raise UnknownType(f"no definition of {wanted}: {file} is not there")
    return file

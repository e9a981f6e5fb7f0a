"""Arguments of a configuration dataclass: read off its fields, so that no front end keeps a list of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar

Config = TypeVar("Config")


class ArgumentError(ValueError):
    """An argument that is refused; the message names it, its value and what would be right."""


@dataclass(frozen=True)
class Argument:
    """One argument as a front end shows it.

    Attributes:
        default: as text, the way somebody would type it.
        choices: the only texts allowed; empty: any.
        parse: text -> value; raises ValueError saying what was expected.
    """

    name: str
    default: str
    help: str
    choices: tuple[str, ...]
    parse: Callable[[str], Any]


def argument(
    default: Any,
    help: str,
    *,
    parse: Callable[[str], Any] = str,
    show: Callable[[Any], str] = str,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field that is an argument. ``show`` turns its default into text; ``parse`` reads text back."""
    return field(default=default, metadata={"help": help, "parse": parse, "show": show, "choices": choices})


def arguments_of(config_type: type) -> tuple[Argument, ...]:
    """The arguments of a dataclass whose fields were made by ``argument``, in their order."""
    return tuple(_argument(entry) for entry in fields(config_type))


def config_from_texts(config_type: type[Config], texts: Mapping[str, str]) -> Config:
    """Build a configuration from what somebody typed; what is left out takes its default.

    Raises:
        ArgumentError: an unknown argument, a text that cannot be read, or whatever the configuration itself refuses.
    """
    known = {entry.name: entry for entry in arguments_of(config_type)}
    values = {}
    for name, text in texts.items():
        if name not in known:
            raise ArgumentError(f"unknown argument {name!r}: expected one of {', '.join(known)}")
        values[name] = _read(known[name], text)
    return config_type(**values)


def check_choices(config: Any) -> None:
    """Refuse values that are not among their field's choices.

    Raises:
        ArgumentError: naming the value and the choices.
    """
    for entry in fields(config):
        choices, value = entry.metadata["choices"], getattr(config, entry.name)
        if choices and value not in choices:
            raise ArgumentError(f"unknown {entry.name} {value!r}: expected one of {', '.join(choices)}")


def read_bool(text: str) -> bool:
    """Read "true" or "false", in any case."""
    if text.lower() not in ("true", "false"):
        raise ValueError("expected 'true' or 'false'")
    return text.lower() == "true"


def show_bool(value: bool) -> str:
    return "true" if value else "false"


def read_integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError("expected a whole number") from error


def read_names(text: str) -> tuple[str, ...]:
    """Names, from "agentview,eye_in_hand"."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def show_names(names: tuple[str, ...]) -> str:
    return ",".join(names)


def read_size(text: str) -> tuple[int, int]:
    """(height, width) in pixels, from "240x320" (height x width) or "128" (square)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError("expected HEIGHTxWIDTH in pixels, e.g. 128x128, or one number for a square")
    return int(parts[0]), int(parts[-1])


def show_size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _argument(entry: Field) -> Argument:
    if entry.default is MISSING or "parse" not in entry.metadata:
        raise TypeError(f"field {entry.name!r} was not made by argument()")
    data = entry.metadata
    return Argument(entry.name, data["show"](entry.default), data["help"], data["choices"], data["parse"])


def _read(entry: Argument, text: str) -> Any:
    try:
        return entry.parse(text)
    except ValueError as error:
        raise ArgumentError(f"{entry.name} is {text!r}: {error}") from error

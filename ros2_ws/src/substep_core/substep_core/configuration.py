"""Frozen, validated configuration classes, and reading them with errors that name file, key and value."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, is_dataclass
from typing import Annotated, Any, TypeVar, dataclass_transform

import numpy as np
import pydantic
from pydantic import ConfigDict, GetCoreSchemaHandler, PlainSerializer, PlainValidator, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from substep_core.printable import shortened

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def configuration(cls: type[T]) -> type[T]:
    """A frozen dataclass that checks types when it is made, and refuses unknown keys and numbers that are none."""
    cls.__get_pydantic_core_schema__ = classmethod(_schema)
    made = pydantic.dataclasses.dataclass(cls, frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
    for name, info in made.__pydantic_fields__.items():  # so that dataclasses.fields() says defaults, not pydantic's
        field = made.__dataclass_fields__[name]
        if isinstance(field.default, FieldInfo):
            field.default = MISSING if info.is_required() else info.default
            field.metadata = {"help": info.description}
    return made


def _schema(_: type, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    return _checked(handler(source))


def _checked(schema: Any) -> Any:
    """What pydantic makes of a class, such that no bool is a number, and a wrong choice is one problem at its key."""
    if isinstance(schema, list | tuple):
        return type(schema)(map(_checked, schema))
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("int", "float"):
        return core_schema.no_info_before_validator_function(_no_bool, schema)
    whole = {key: part if key in _NO_SCHEMAS else _checked(part) for key, part in schema.items()}
    if schema.get("type") == "union" and (choices := _choices(schema["choices"])):
        whole |= {"custom_error_type": "choice", "custom_error_message": f"expected {choices}"}
    return whole


_NO_SCHEMAS = ("default", "metadata", "serialization", "expected")
_KINDS = {"str": "a text", "int": "a whole number", "float": "a number", "dict": "a mapping"}


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        raise ValueError("expected a number, not true or false")
    return value


def _choices(schemas: Sequence[Any]) -> str:
    """In words, of a union; empty where one of them is a class, whose own problems say more."""
    named = []
    for schema in schemas:
        kind = schema["type"]
        if kind == "literal":
            named += [repr(value) for value in schema["expected"]]
        elif kind == "tuple":
            named.append("a list")
        elif kind in _KINDS:
            named.append(_KINDS[kind])
        else:
            return ""
    return " or ".join(named)


def parse(kind: type[T], data: Any, source: str) -> T:
    """Plain data (from JSON or YAML) -> ``kind``.

    Raises:
        ConfigurationError: every wrong, missing or unknown key, with its place, its value and what would be right.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        raise ConfigurationError(source, _problems(error)) from error


def dump(config: Any) -> dict[str, Any]:
    """A configuration -> plain data that JSON and YAML can hold, and ``parse`` reads back."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


@dataclass(frozen=True)
class Option:
    """A number in a configuration, for those who let people set it: as a parameter, on a command line."""

    name: str
    default: int | float
    bounds: tuple[int | float, int | float]
    description: str


def options_of(kind: type) -> tuple[Option, ...]:
    """The fields of a configuration all of which have a description and bounds, ``ge`` and ``le``."""
    found = []
    for name, info in kind.__pydantic_fields__.items():
        (low,), (high,) = ([getattr(m, side) for m in info.metadata if hasattr(m, side)] for side in ("ge", "le"))
        found.append(Option(name, info.default, (low, high), info.description))
    return tuple(found)


def registered(find: Callable[[str], type], name_of: Callable[[Mapping[str, Any]], Any]) -> Any:
    """The annotation of a configuration's field whose class is found by a name that the field holds.

    Args:
        find: name -> class, as from a registry; raises ValueError, which says what there is, for an unknown one.
        name_of: the field's plain data -> the name.
    """

    def validate(value: Any) -> Any:
        if is_dataclass(value):
            return value  # made, and checked, by its own class
        if not isinstance(value, Mapping) or not isinstance(name := name_of(value), str):
            raise ValueError("expected a mapping that says of which kind it is")
        try:
            return TypeAdapter(find(name)).validate_python(value)
        except ValidationError as error:
            raise PydanticCustomError(_NESTED, "wrong", {"error": error}) from error

    return Annotated[Any, PlainValidator(validate), PlainSerializer(dump)]


_NESTED = "nested"
TOLD = 5  # problems that one line names: the others may well come from these


class ConfigurationError(ValueError):
    """Plain data that is no configuration.

    Attributes:
        source: where the data came from.
        problems: one line each.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        super().__init__(f"{source}: {_in_one_line(problems)}")
        self.source, self.problems = source, tuple(problems)


def told(error: BaseException) -> str:
    """What an error says to people, in one line where a configuration class has refused its values."""
    return _in_one_line(_problems(error)) if isinstance(error, ValidationError) else str(error)


def _in_one_line(problems: Sequence[str]) -> str:
    more = [f"and {len(problems) - TOLD} more"] if len(problems) > TOLD else []
    return "; ".join([*problems[:TOLD], *more])


def _problems(error: ValidationError, within: tuple = ()) -> list[str]:
    found: list[str] = []
    for problem in error.errors(include_url=False):
        place = (*within, *problem["loc"])
        if problem["type"] == _NESTED:
            found += _problems(problem["ctx"]["error"], place)
        else:
            found.append(_describe(problem, place))
    return found


def quoted(value: Any) -> str:
    """A value for a message, cut short: of YAML's aliases a page can mean more than any memory holds."""
    short = reprlib.Repr()
    short.maxlevel, short.maxlist, short.maxtuple, short.maxset, short.maxdict = 3, 12, 12, 12, 12
    short.maxstring = short.maxlong = short.maxother = 200
    return shortened(short.repr(value))


def what_is_wrong(problem: Any) -> str:
    """One of pydantic's findings, without its place; what a class of ours raised is said in its own words."""
    return str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["msg"]


def _describe(problem: Any, loc: tuple) -> str:
    """One line: the place, the value where it is what is wrong, and what would be right."""
    text, is_ours = what_is_wrong(problem), problem["type"] == "value_error"
    if not loc:
        return text
    place = ".".join(map(str, loc))
    if problem["type"] == "missing":
        return f"{place} is missing"
    if problem["type"] == "unexpected_keyword_argument":
        return f"{place} is not a known key"
    if is_ours and isinstance(problem["input"], Mapping):
        return f"{place}: {text}"  # which names the value: the whole mapping would only hide it
    return f"{place} is {quoted(problem['input'])}: {text}"

"""Reads a command line by the table of commands, and runs it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

import pydantic
from cyclopts import (
    App,
    ArgumentCollection,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    UnknownOptionError,
    UnusedCliTokensError,
)

from substep_cli.table import COMMANDS, Command, find, groups
from substep_core.configuration import told, what_is_wrong
from substep_core.printable import log_printably, show

FAILED, WRONG_COMMAND_LINE, INTERRUPTED = 1, 2, 130
# What is raised for what was typed and for files that it names; any other OSError is a failure.
WRONG = (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)


ALIKE = 0.75  # how alike two options' names are that one may be meant by the other, see difflib
OTHER_COMMANDS = {"--out": "--runs", "--runs": "--out"}  # what results are left in: a folder, or a new one below it


class UsageError(ValueError):
    """A command line, or a file that it names, is wrong; the message names the option, its value and what is right."""


class CommandFailed(Exception):
    """A command cannot go on; the message says why."""


@dataclass(frozen=True)
class Call:
    """A command line that was read: ``function(*positional, **options)`` carries it out; -> exit code or None."""

    words: str
    function: Callable[..., int | None]
    positional: tuple[Any, ...]
    options: dict[str, Any]

    def __call__(self) -> int:
        return self.function(*self.positional, **self.options) or 0


def read(arguments: Sequence[str]) -> Call:
    """Read a command line and run nothing.

    Raises:
        UsageError: an unknown command or option, or a value that is refused.
    """
    command = find(arguments)
    app = _app(command)
    try:
        function, bound, unparsed = app.parse_args(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise UsageError(_describe(error)) from error
    except ValueError as error:  # by a configuration class
        raise UsageError(told(error)) from error
    bound.apply_defaults()
    options = dict(bound.kwargs)
    if "command_line" in unparsed:
        options["command_line"] = shlex.join(["./substep", *arguments])
    return Call(command.words if command else "help", function, bound.args, options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; -> the exit code: the command's own, 1 when it failed, 2 when what was typed is wrong."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = find(arguments)
    name = f"substep {command.words}" if command else "substep"
    log_printably()
    call = None
    try:
        call = read(arguments)
        return call()
    except (*WRONG, CommandFailed, MemoryError, OSError) as error:
        show(f"{name}: {_of_a_file(error, call) or told(error)}", sys.stderr)
        # Memory first: what does not fit is said by a ValueError too, and another machine would do it.
        return WRONG_COMMAND_LINE if isinstance(error, WRONG) and not isinstance(error, MemoryError) else FAILED
    except KeyboardInterrupt:
        hint = "; the same command goes on from here" if command and command.resumes else ""
        print(f"{name}: stopped{hint}", file=sys.stderr)
        return INTERRUPTED


def _of_a_file(error: Exception, call: Call | None) -> str:
    """What the system says of a file, as a sentence with the option that named it; empty: it says it of none."""
    if not isinstance(error, OSError) or not isinstance(error, WRONG) or not isinstance(error.filename, str):
        return ""  # others say it in words of their own
    path = Path(error.filename)
    typed = {
        Path(value): f"--{key.replace('_', '-')} "
        for key, value in (call.options if call else {}).items()
        if isinstance(value, Path)
    }
    of = next((word for value, word in typed.items() if value == path or value in path.parents), "")
    file = next((folder for folder in path.parents if folder.is_file()), None)
    if isinstance(error, FileNotFoundError):
        missing = next((folder for folder in reversed(path.parents) if not folder.exists()), None)
        return f"{of}{path}: there is no {f'folder {missing}' if missing else 'such file or folder'}"
    if isinstance(error, IsADirectoryError):
        return f"{of}{path} is a folder, expected a file"
    if isinstance(error, NotADirectoryError):
        return f"{of}{file or path} is a file, expected a folder"
    return f"{of}{path} is there already: name another"


def command_app(command: Command) -> App:
    """One command's own part of the tree, whose arguments are its options."""
    app = _app(command)
    for word in command.words.split():
        app = app[word]
    return app


def _app(wanted: Command | None) -> App:
    """The table as a tree of commands; the wanted one's module is imported, and its own text is its help."""
    parameter = Parameter(consume_multiple=1, negative_iterable=(), negative_none=(), show_default=_show)
    common = {"version_flags": [], "help_format": "rst", "default_parameter": parameter}
    app = App(name="./substep", **common)
    for group in groups():
        app.command(App(name=group, **common))
    for command in COMMANDS:
        *group, name = command.words.split()
        parent = app[group[0]] if group else app
        if command.target is not None:
            parent.command(command.target, name=name, help=None if command is wanted else command.help)
    return app


def _show(value: Any) -> str:
    """A default as it would be typed."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return " ".join(map(_show, value))
    if isinstance(value, Enum):
        return str(value.value)
    return str(value) or '""'


def _describe(error: CycloptsError) -> str:
    if isinstance(error, MissingArgumentError):
        return _missing(error)
    if isinstance(error, UnknownOptionError):
        return _unknown(error)
    if isinstance(error, UnusedCliTokensError):
        return f"{shlex.join(error.unused_tokens)} is more than it takes: options begin with --"
    cause = error.__cause__
    if not isinstance(cause, pydantic.ValidationError):
        return str(error).strip().replace("\n", " ")
    names = {name for argument in _arguments(error) for name in argument.names}
    return "; ".join(_problem(problem, names) for problem in cause.errors(include_url=False))


def _missing(error: MissingArgumentError) -> str:
    """What was typed without its value, or not at all."""
    if error.keyword is None:
        return f"{error.argument.name} is missing; --help says what it is"
    given, (needed, _) = len(error.tokens_so_far), error.argument.token_count()
    return f"{error.keyword} has {given} of {needed} values" if given else f"{error.keyword} has no value"


def _unknown(error: UnknownOptionError) -> str:
    """With the option that was meant, if one is all but spelled that way or does what another command's does."""
    typed = error.token.keyword or error.token.value
    there = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    close = get_close_matches(typed, there, n=1, cutoff=ALIKE)
    if (here := OTHER_COMMANDS.get(typed)) in there:
        return f"Unknown option: {typed}. What other commands call so is {here} here"
    return f"Unknown option: {typed}. " + (f"Did you mean {close[0]}?" if close else "--help says which there are")


def _arguments(error: CycloptsError) -> ArgumentCollection:
    return error.app.assemble_argument_collection() if error.app is not None else ArgumentCollection()


def _problem(problem: Any, names: set[str]) -> str:
    """One of pydantic's findings, by the option's name: its field's path, or the end of that where it is flat.

    Or the only one that ends so: of a class that is an argument itself, pydantic does not know what it is called.
    """
    path = [str(part).replace("_", "-") for part in problem["loc"] if not isinstance(part, int)]
    candidates = ["--" + ".".join(path[start:]) for start in range(len(path))]
    longer = [name for name in names if path and name.endswith("." + ".".join(path))]
    option = next((name for name in candidates if name in names), longer[0] if len(longer) == 1 else ".".join(path))
    text = what_is_wrong(problem)
    return f"{option} is {problem['input']!r}: {text}" if option and problem["type"] != "value_error" else text

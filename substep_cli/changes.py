"""Options that are keys of a YAML file: ``--optimizer.batch-size 32``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from substep_cli.grammar import UsageError

Changes = Annotated[str, Parameter(allow_leading_hyphen=True)]


def read_changes(words: Sequence[str]) -> tuple[str, ...]:
    """``--key.sub-key VALUE …`` or ``--key.sub-key=VALUE …`` -> ``key.sub_key=VALUE``, as ``read_config`` takes it.

    Raises:
        UsageError: a word is no option, or an option has no value.
    """
    found, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise UsageError(f"{word!r} is no option: expected --KEY VALUE, as in --optimizer.batch-size 32")
        if not has_value:
            if not rest or rest[0].startswith("--"):
                raise UsageError(f"{word} has no value: expected --KEY VALUE, as in --optimizer.batch-size 32")
            value = rest.pop(0)
        found.append(f"{name.replace('-', '_')}={value}")
    return tuple(found)

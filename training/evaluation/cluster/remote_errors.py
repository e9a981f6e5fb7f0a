"""What is raised on another machine, raised here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.exceptions import RayActorError, RayTaskError


@contextmanager
def as_raised() -> Iterator[None]:
    """Around what gets a remote call's result: what the call raised is raised as itself, without Ray's wrapping.

    Raises:
        ChildProcessError: the called process asked another one, which died for good.
        RayActorError: the called process died.
    """
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, RayActorError):
            raise ChildProcessError(
                f"a policy's process died again and again: is there too little memory? {error.cause}"
            ) from error
        raise error.cause from error

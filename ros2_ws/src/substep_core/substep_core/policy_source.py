"""What stands behind a policy's name, and the fingerprint of its checkpoint, by which figures say what made them.

For those who must know where a policy lies and need none of its code: nothing but a named one's entry is imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from substep_core.hub import HubError, check_name, checkpoint_folder
from substep_core.registry import Registry

NAMED: Registry[Callable[..., Any] | Path] = Registry("policy", "substep.policies")


class PolicyError(ValueError):
    """A policy that cannot be had; the message names it, says why, and what there is."""


def check_policy_name(policy: str, named: Registry = NAMED) -> None:
    """Arguments as ``policy_source``. Imports nothing and asks no hub.

    Raises:
        PolicyError: no name, no folder and no hub id.
    """
    if policy in named:
        return
    try:
        check_name(policy)
    except HubError as error:
        raise PolicyError(
            f"unknown policy {policy!r}: expected one of {named.listing}, the folder of a checkpoint, or a "
            f"hub id such as organisation/model; {error}"
        ) from error


def policy_source(policy: str, named: Registry = NAMED) -> Callable[..., Any] | Path:
    """The program that makes the policy, or its checkpoint's folder. A hub's checkpoint is downloaded.

    Args:
        policy: a name, the folder of a checkpoint, or a hub id such as "organisation/model".
        named: policies by name.

    Raises:
        PolicyError: no such policy.
        RegistryError: a named one that cannot be imported.
    """
    check_policy_name(policy, named)
    if policy in named:
        return named.load(policy)
    try:
        return checkpoint_folder(policy)
    except HubError as error:
        raise PolicyError(str(error)) from error


def fingerprint(policy: str) -> str:
    """Of a policy's checkpoint; empty for none, or a program.

    Raises:
        PolicyError: there is no such policy.
    """
    source = policy_source(policy) if policy else None
    return fingerprint_of(source) if isinstance(source, Path) else ""


def fingerprint_of(folder: Path) -> str:
    """SHA-256, first 16 digits, over the files of a folder but those that end in .md."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]

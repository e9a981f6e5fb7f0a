"""Fingerprint of a policy's checkpoint, by which figures and bags say what made them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from substep_policy.registry import POLICIES


def fingerprint(policy: str) -> str:
    """SHA-256, first 16 digits, over the files of a policy's checkpoint but its card; empty for none, or a program.

    Raises:
        PolicyError: there is no such policy.
    """
    folder, digest = POLICIES.source(policy) if policy else None, hashlib.sha256()
    if not isinstance(folder, Path):
        return ""
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]

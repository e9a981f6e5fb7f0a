"""What every machine of a cluster must have alike, since results depend on it."""

from __future__ import annotations

import socket
from dataclasses import dataclass, fields

from substep_core.policy_source import fingerprint
from substep_core.provenance import commit, versions


@dataclass(frozen=True)
class Checkout:
    """A machine's.

    Attributes:
        commit: of the project; "+" behind it where files differ from it.
        policy: fingerprint of the policy's files.
        versions: of what matters most beside the project.
    """

    commit: str
    policy: str
    versions: tuple[tuple[str, str], ...]

    @classmethod
    def here(cls, policy: str) -> Checkout:
        return cls(commit(), fingerprint(policy), tuple(sorted(versions().items())))


def check_alike(expected: Checkout, policy: str) -> None:
    """Raises: ValueError: this machine has another; the message says what."""
    found = Checkout.here(policy)
    names = [field.name for field in fields(Checkout)]
    pairs = [(name, getattr(found, name), getattr(expected, name)) for name in names]
    if differing := [f"{name} {here!r}, expected {there!r}" for name, here, there in pairs if here != there]:
        raise ValueError(f"machine {socket.gethostname()} of the cluster has {'; '.join(differing)}")

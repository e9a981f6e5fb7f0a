"""A ROS domain of one's own on this machine, so that two runs never hear each other."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

DOMAINS = range(101, 0, -1)  # 0 is everybody's; above 101 the ports reach into Linux's ephemeral range
DISCOVERY_VARIABLES = (
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "ROS_LOCALHOST_ONLY",
    "ROS_STATIC_PEERS",
    "ROS_DISCOVERY_SERVER",
)


@contextmanager
def isolation(environment: Mapping[str, str], domain: int | None = None) -> Iterator[dict[str, str]]:
    """What to set so that a graph has a domain of its own and stays on this machine.

    What the user has set is left alone: ROS_DOMAIN_ID, and anything that configures discovery.

    Args:
        environment: the user's.
        domain: a domain that was asked for; None: the user's, else a free one, kept until the context ends.

    Raises:
        RuntimeError: no domain is free.
    """
    changes: dict[str, str] = {}
    if not any(name in environment for name in DISCOVERY_VARIABLES):
        changes["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if domain is not None:
        yield changes | {"ROS_DOMAIN_ID": str(domain)}
    elif "ROS_DOMAIN_ID" in environment:
        yield changes
    else:
        with free_domain() as free:
            yield changes | {"ROS_DOMAIN_ID": str(free)}


@contextmanager
def free_domain() -> Iterator[int]:
    """A domain that nobody on this machine uses; it is kept until the context or the process ends, however it ends.

    Raises:
        RuntimeError: all of them are taken.
    """
    folder = Path(tempfile.gettempdir()) / f"substep_test_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for domain in DOMAINS:
        with (folder / str(domain)).open("wb") as lock:
            if _locked(lock) and _is_silent(domain):
                yield domain
                return
    raise RuntimeError(f"every ROS domain from {DOMAINS[-1]} to {DOMAINS[0]} is taken ({folder}); set ROS_DOMAIN_ID")


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_silent(domain: int) -> bool:
    """No DDS participant holds the domain's first unicast discovery port: 7410 + 250 times the domain, by RTPS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7410 + 250 * domain))
        except OSError:
            return False
    return True

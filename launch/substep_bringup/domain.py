"""Keeps a run on this machine, in a ROS domain that no other run on it uses."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from filelock import FileLock, Timeout
from rclpy.utilities import get_rmw_implementation_identifier

DOMAINS = range(101, 0, -1)  # 0 is everybody's; above 101 the ports reach into Linux's ephemeral range
HIGHEST_DOMAIN = 232  # its ports are the last that there are
DISCOVERY_VARIABLES = (
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "ROS_LOCALHOST_ONLY",
    "ROS_STATIC_PEERS",
    "ROS_DISCOVERY_SERVER",
)


# Fast DDS 2 and 3; other middlewares do not read them.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
LOCAL, OPEN = "local", "open"


class NoDomain(OSError):
    """There is no ROS domain for a graph; the message says why, and what to set."""


@contextmanager
def isolation(
    environment: Mapping[str, str], domain: int | None = None, network: str = LOCAL
) -> Iterator[dict[str, str]]:
    """What to set so that a graph has a domain of its own and can be reached from this machine alone.

    What the user has set is left alone: ROS_DOMAIN_ID, and anything that configures discovery or transports.

    Args:
        environment: the user's.
        domain: a domain that was asked for; None: the user's, else a free one, kept until the context ends.
        network: "local", or "open": as ROS is where nothing is set, open to the network.

    Raises:
        NoDomain: none is free, or the user's is none.
    """
    is_told = any(name in environment for name in (*DISCOVERY_VARIABLES, *PROFILE_VARIABLES))
    middleware = environment.get("RMW_IMPLEMENTATION") or get_rmw_implementation_identifier()
    changes = {} if is_told or network == OPEN else loopback_only(middleware)
    if domain is None and "ROS_DOMAIN_ID" in environment:
        _check_domain(environment["ROS_DOMAIN_ID"])
    if domain is not None:
        yield changes | {"ROS_DOMAIN_ID": str(domain)}
    elif "ROS_DOMAIN_ID" in environment:
        yield changes
    else:
        with free_domain() as free:
            yield changes | {"ROS_DOMAIN_ID": str(free)}


def loopback_only(middleware: str) -> dict[str, str]:
    """Variables for nodes that only this machine's programs can hear and speak to.

    The range LOCALHOST alone keeps nobody out: a participant that names this machine as its peer is still answered.
    With it ROS also adds a transport on all interfaces, so where the profile counts the range is left to that.

    Args:
        middleware: the ROS middleware implementation; only Fast DDS reads the profile.
    """
    if "fastrtps" not in middleware:
        return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    profile = Path(get_package_share_directory("substep_bringup"), "dds", "loopback_only.xml")
    return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"} | dict.fromkeys(PROFILE_VARIABLES, str(profile))


@contextmanager
def free_domain() -> Iterator[int]:
    """A domain that nothing else on this machine uses; kept until the context or the process ends, however it ends.

    Raises:
        NoDomain: all of them are taken, or there is no folder for their locks that is the user's alone.
    """
    folder = own_folder() / "domains"
    _make(folder)
    for domain in DOMAINS:
        try:
            lock = FileLock(folder / str(domain)).acquire(blocking=False)
        except Timeout:
            continue
        with lock:
            if _is_silent(domain):
                yield domain
                return
    raise NoDomain(f"every ROS domain from {DOMAINS[-1]} to {DOMAINS[0]} is taken ({folder}); set ROS_DOMAIN_ID")


def own_folder() -> Path:
    """A folder for what lives as long as a process: this user's, of mode 0700.

    It lies in XDG_RUNTIME_DIR, or else in the temporary folder, where anybody could have made it before.

    Raises:
        NoDomain: it is another user's, a link, or open to others, or cannot be made.
    """
    user = os.getuid()
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and os.path.isdir(given) and os.stat(given).st_uid == user:
        folder = Path(given) / "substep"
    else:
        folder = Path(tempfile.gettempdir()) / f"substep-{user}"
    _make(folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or stat.S_IMODE(found.st_mode) & 0o077:
        raise NoDomain(
            f"{folder} is not a folder of this user's alone (owner {found.st_uid}, mode "
            f"{stat.S_IMODE(found.st_mode):o}): remove it, or set XDG_RUNTIME_DIR to a folder of your own"
        )
    return folder


def _make(folder: Path) -> None:
    """Raises: NoDomain: it cannot be made."""
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    except OSError as error:
        raise NoDomain(
            f"{folder}, for locks on ROS domains, cannot be made: {error.strerror}; set TMPDIR or XDG_RUNTIME_DIR to a "
            "folder of your own, or ROS_DOMAIN_ID"
        ) from error


def _check_domain(text: str) -> None:
    """Whether rcl would take it; an empty one is 0. Raises: NoDomain: it would not."""
    if text and not (re.fullmatch("[0-9]{1,9}", text) and int(text) <= HIGHEST_DOMAIN):
        raise NoDomain(f"ROS_DOMAIN_ID is {text!r}, expected a number from 0 to {HIGHEST_DOMAIN}")


def _is_silent(domain: int) -> bool:
    """No DDS participant holds the domain's first unicast discovery port: 7410 + 250 times the domain, by RTPS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7410 + 250 * domain))
        except OSError:
            return False
    return True

"""Every test process gets a ROS domain of its own on this machine, so that parallel runs never hear each other."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

import pytest
from hypothesis import settings

LAST_DOMAIN = 101  # above it the ports reach into Linux's ephemeral range
LOCK_KEY = pytest.StashKey[IO[bytes]]()


def pytest_configure(config: pytest.Config) -> None:
    domain, lock = _claim_domain()
    config.stash[LOCK_KEY] = lock
    settings.register_profile("substep", deadline=None)  # a busy machine is no failure
    settings.load_profile("substep")
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[LOCK_KEY].close()


def _claim_domain() -> tuple[int, IO[bytes]]:
    """A domain that no other test process holds: the lock goes with the process, however it ends."""
    folder = Path(tempfile.gettempdir()) / f"substep_test_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for domain in range(1, LAST_DOMAIN + 1):
        lock = (folder / str(domain)).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return domain, lock
    raise RuntimeError(f"all ROS domains from 1 to {LAST_DOMAIN} are locked by other test processes ({folder})")

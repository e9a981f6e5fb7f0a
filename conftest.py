"""Every test process gets a ROS domain of its own on this machine, so that parallel runs never hear each other.

Hypothesis sets no deadlines: how long an example takes says more about what else the machine is doing. SIGINT and
SIGTERM are heeded in every test, since what it starts inherits whether they are ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal

import hypothesis
import pytest

from substep_bringup.domain import free_domain

DOMAIN_KEY = pytest.StashKey[contextlib.ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.register_profile("substep", deadline=None)
    hypothesis.settings.load_profile("substep")
    held = config.stash.setdefault(DOMAIN_KEY, contextlib.ExitStack())
    os.environ["ROS_DOMAIN_ID"] = str(held.enter_context(free_domain()))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def heeded_signals() -> None:
    """A shell in whose background the tests run has SIGINT ignored, and a node that has ended here ignores both."""
    for number, heeded in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, heeded)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[DOMAIN_KEY].close()

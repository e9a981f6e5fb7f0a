"""Every test process gets a ROS domain of its own on this machine, so that parallel runs never hear each other.

Hypothesis sets no deadlines: how long an example takes says more about what else the machine is doing. SIGINT and
SIGTERM are heeded in every test, since what it starts inherits whether they are ignored. Tests that share what their
module has built run in one worker, so that it is built once. Python's collector of cycles leaves alone what was loaded
before the first test: looking through it takes half a second, and each world or node that a test closes asks for that.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Generator

import hypothesis
import pytest

from substep_bringup.domain import free_domain

os.environ.setdefault("OMP_NUM_THREADS", "1")  # here: conftests import torch before anything is configured
DOMAIN_KEY = pytest.StashKey[contextlib.ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.register_profile("substep", deadline=None)
    hypothesis.settings.load_profile("substep")
    held = config.stash.setdefault(DOMAIN_KEY, contextlib.ExitStack())
    os.environ["ROS_DOMAIN_ID"] = str(held.enter_context(free_domain()))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("MUJOCO_GL", "egl")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(OwnNames())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()  # what is imported stays
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("xdist_group") is None and shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def shares_a_fixture(item: pytest.Item) -> bool:
    """Whether the test takes something that is built once for its module."""
    definitions = item._fixtureinfo.name2fixturedefs.values()
    return any(found[-1].scope == "module" for found in definitions)


class OwnNames:
    """Reports name a test as without workers, for --last-failed; xdist adds ``@`` and the group."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid.rfind("@") > report.nodeid.rfind("]"):
            report.nodeid = report.nodeid.rpartition("@")[0]


@pytest.fixture(autouse=True)
def heeded_signals() -> None:
    """A shell in whose background the tests run has SIGINT ignored, and a node that has ended here ignores both."""
    for number, heeded in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, heeded)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[DOMAIN_KEY].close()
    gc.unfreeze()  # else libraries complain at the end of what was never freed

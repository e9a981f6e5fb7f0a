"""Fixtures of the tests on the running graph."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running_graph import RunningGraph


@pytest.fixture(scope="module")
def start_graph(tmp_path_factory) -> Iterator[Callable[..., RunningGraph]]:
    """Starts a graph that ends with the module: ``start_graph(config, without=…, parameters=…)``."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, **options) -> RunningGraph:
            folder: Path = tmp_path_factory.mktemp("graph")
            graph = RunningGraph(folder, *arguments, **options)
            stack.callback(graph.close)
            return graph

        yield start

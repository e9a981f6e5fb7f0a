"""The real nodes as processes, as the graph's one description says, with a probe in the test process."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from substep_bringup.commands import find_executable, node_command
from substep_bringup.graph import NodeSpec, simulation_graph
from substep_bringup.graph_config import GraphConfig
from tests.probe import Probe
from tests.processes import ProcessUnderTest

NODES = ("bridge", "policy", "planner")  # in the order in which they are activated
SMALL = (32, 32)  # pixels; nobody looks at the pictures


class RunningGraph:
    """Bridge, policy and planner without a session: the test is the session.

    Args:
        folder: for logs and parameter files.
        config: of the run.
        without: nodes that the test stands in for.
        parameters: node -> parameters over those of the graph.
    """

    def __init__(
        self,
        folder: Path,
        config: GraphConfig,
        without: Collection[str] = (),
        parameters: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        self._folder = folder
        self.processes: dict[str, ProcessUnderTest] = {}
        self._started: dict[str, tuple[NodeSpec, Mapping[str, str]]] = {}
        graph = simulation_graph(config, folder)
        for spec in graph.nodes:
            if spec.name not in without:
                merged = MappingProxyType({**spec.parameters, **parameters.get(spec.name, {})})
                self.start(dataclasses.replace(spec, parameters=merged), graph.environment)
        self.probe = Probe()

    def start(self, spec: NodeSpec, environment: Mapping[str, str]) -> None:
        command = node_command(spec, find_executable(spec.package, spec.executable), self._folder)
        self._started[spec.name] = spec, environment
        self.processes[spec.name] = ProcessUnderTest(command, self._folder / f"{spec.name}.log", **environment)

    def bring_up(self) -> RunningGraph:
        """Configure and activate all nodes."""
        for name in NODES:
            if name in self.processes:
                self._wait_for(name)
                self.probe.bring_up(name)
        return self

    def start_again(self, name: str) -> None:
        """A node that has ended, configured and activated."""
        self.processes[name].close()
        self.start(*self._started[name])
        self._wait_for(name)
        self.probe.bring_up(name)

    def _wait_for(self, name: str) -> None:
        """Until the node's process answers; AssertionError with the end of its log when it has died instead."""
        process = self.processes[name]
        self.probe.wait(lambda: process.exit_code is not None or self.probe.hears(name), f"node {name}")
        assert process.exit_code is None, f"{name} has died:\n{process.tail()}"

    def log(self, node: str) -> str:
        return self.processes[node].text()

    def close(self) -> None:
        self.probe.close()
        for process in self.processes.values():
            process.close()

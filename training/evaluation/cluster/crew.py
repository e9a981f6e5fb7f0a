"""The actors of an evaluation: how many there are, and what each of them takes of the cluster."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import ray

from substep_policy.registry import POLICIES
from training.evaluation.cluster.checkout import Checkout
from training.evaluation.cluster.policies import PolicyServer
from training.evaluation.cluster.remote_errors import as_raised
from training.evaluation.cluster.settings import ClusterSettings
from training.evaluation.cluster.simulators import Shared, Simulator
from training.evaluation.in_process import policy_settings
from training.evaluation.settings import EpisodeSettings

MOST_RESTARTS = 8  # of a policy's process

log = logging.getLogger(__name__)


class Crew:
    """Starts the policies' actors at once, and simulators as they are asked for.

    Args:
        suite: of a task that is played, whose statistics the policies begin with.
        resources: of the cluster, as Ray counts them.

    Attributes:
        simulators: how many.
        servers: the policies' actors; none where each simulator has a policy of its own.
        processes: that the policies' actors began as.

    Raises:
        ValueError: there are too few cores, or a policy's machine differs from this one.
    """

    def __init__(
        self,
        settings: EpisodeSettings,
        suite: str,
        cluster: ClusterSettings,
        resources: Mapping[str, float],
    ) -> None:
        cores = int(resources.get("CPU", 0))
        self._gpus = 0 if settings.device == "cpu" else int(resources.get("GPU", 0))
        self._settings = settings
        self._checkout = Checkout.here(settings.policy)
        policies = self._gpus if cluster.policies is None else cluster.policies
        _check_room(cores, policies, cluster.simulators or 1)
        if (free := int(ray.available_resources().get("CPU", 0))) < cores:
            log.warning("%d of the cluster's %d cores are taken: what finds none waits for one", cores - free, cores)
        self.processes: frozenset[str] = frozenset()
        self.servers, self._shared = self._start_policies(policies, suite, cluster)
        self.simulators = cluster.simulators or cores - len(self.servers)

    def simulator(self, number: int) -> tuple[Any, ray.ObjectRef]:
        """A fresh one, and a reference that is there when it is ready."""
        part = 0 if self.servers else self._part_of_gpus(self.simulators)
        shared = self._shared[number % len(self._shared)] if self._shared else None
        actor = ray.remote(Simulator).options(num_cpus=1, num_gpus=part)
        started = actor.remote(self._settings, shared)
        return started, started.ready.remote(self._checkout)

    def _part_of_gpus(self, processes: int) -> float:
        """Of each process; Ray counts in ten-thousandths."""
        return min(1.0, int(1000 * self._gpus / processes) / 1000)

    def _start_policies(self, count: int, suite: str, cluster: ClusterSettings) -> tuple[list[Any], list[Shared]]:
        if not count:
            return [], []
        policy = self._settings.policy
        own = POLICIES.settings_for(policy, policy_settings(self._settings), suite)
        actor = ray.remote(PolicyServer).options(
            num_cpus=1,
            num_gpus=self._part_of_gpus(count),
            max_restarts=MOST_RESTARTS,
            max_task_retries=-1,  # an answer depends on the question alone
            max_concurrency=10_000,
        )
        arguments = policy, own, cluster.batch_size, cluster.wait, self._checkout
        servers = [actor.remote(*arguments) for _ in range(count)]
        with as_raised():
            processes, cards = zip(*ray.get([server.ready.remote() for server in servers]), strict=True)
        if isinstance(cards[0], str):
            log.warning("every simulator loads policy %s itself, which cannot be shared: %s", policy, cards[0])
            for server in servers:
                ray.kill(server)
            return [], []
        self.processes = frozenset(processes)
        return servers, [Shared(card, server) for card, server in zip(cards, servers, strict=True)]


def _check_room(cores: int, policies: int, simulators: int) -> None:
    """Raises: ValueError: some of them would wait for a core for ever."""
    if policies + simulators > cores:
        raise ValueError(
            f"the cluster has {cores} cores: too few for --cluster.policies {policies} and "
            f"--cluster.simulators {simulators}"
        )

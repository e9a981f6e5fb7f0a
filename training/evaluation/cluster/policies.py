"""A policy as an actor that many simulators ask, and how a simulator asks it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

import torch

from substep_core.chunk import Chunk
from substep_core.protocol import ChunkRefused
from substep_policy.policy import Asked, OfSeveralDataSets, SubstepNamer, why_not_shared
from substep_policy.registry import POLICIES, PolicySettings
from substep_policy.session.shared_policy import PolicyCard
from training.evaluation.cluster.batching import Batcher
from training.evaluation.cluster.checkout import Checkout, check_alike

GPU_BATCH = 16  # where nobody says how many are answered at once

Question = tuple[str | None, Asked]  # the data set whose statistics it is answered with, and what is asked


class PolicyServer:
    """Loads a policy when it is first needed, and answers with it. Its methods are an asynchronous actor's.

    Args:
        batch_size, wait: as of ``ClusterSettings``.
        expected: of every machine on which it is started, be it anew.
    """

    def __init__(
        self, policy: str, settings: PolicySettings, batch_size: int | None, wait: float, expected: Checkout
    ) -> None:
        torch.set_num_threads(1)
        self._expected = expected
        self._source, self._settings, self._dataset = policy, settings, settings.dataset
        self._batch_size, self._wait = batch_size, wait
        self._process = f"{socket.gethostname()}:{os.getpid()}"

    async def ready(self) -> tuple[str, PolicyCard | str]:
        """Which process it is, and what the policy says of itself, or why it cannot be shared.

        Raises:
            ValueError: the machine differs from the one where the command was given.
            Exception: whatever loading the policy raises.
        """
        if self._difference:
            raise ValueError(self._difference)
        return self._process, self._card_or_why_not()

    def _card_or_why_not(self) -> PolicyCard | str:
        if why_not := why_not_shared(self._policy):
            return why_not
        return "it names substeps too" if isinstance(self._policy, SubstepNamer) else PolicyCard.of(self._policy)

    @cached_property
    def _difference(self) -> str:
        """Of this machine from the one where the command was given; empty: there is none."""
        try:
            check_alike(self._expected, self._source)
        except ValueError as error:
            return str(error)
        return ""

    @cached_property
    def _policy(self) -> Any:
        """Raises: ChildProcessError: it was started anew, on a machine that differs."""
        if self._difference:  # a ValueError would be taken for what the policy refuses
            raise ChildProcessError(f"a policy's process cannot be replaced: {self._difference}")
        return POLICIES.load(self._source, self._settings)

    @cached_property
    def _batch(self) -> int:
        """Observations that are always answered at once."""
        if not self._policy.in_one_pass:
            return 1
        return self._batch_size or (GPU_BATCH if torch.device(self._policy.device).type == "cuda" else 1)

    @cached_property
    def _batcher(self) -> Batcher[Question, Chunk | ChunkRefused]:
        return Batcher(self._answers, self._batch, self._wait)

    async def begin(self, dataset: str | None, instruction: str, task: str) -> str:
        """Why a substep is refused; empty: it is not."""
        return await self._batcher.alone(lambda: self._why_refused(dataset, instruction, task))

    async def ask(self, dataset: str | None, asked: Asked) -> tuple[str, Chunk | ChunkRefused]:
        """Which process answers, and its answer."""
        return self._process, await self._batcher.ask((dataset, asked))

    def _why_refused(self, dataset: str | None, instruction: str, task: str) -> str:
        self._use(dataset)
        try:
            self._policy.start_substep(instruction, task)
        except ValueError as error:
            return str(error)
        return ""

    def _answers(self, questions: Sequence[Question]) -> list[Chunk | ChunkRefused]:
        answers: list[Chunk | ChunkRefused] = []
        for dataset, group in groupby(questions, key=lambda question: question[0]):
            self._use(dataset)
            asked = [each for _, each in group]
            # Always as many: an answer then does not depend on how many others happened to wait.
            filled = [*asked, *[asked[-1]] * (self._batch - len(asked))]
            answers += self._policy.predict_batch(filled)[: len(asked)]
        return answers

    def _use(self, dataset: str | None) -> None:
        if dataset != self._dataset and isinstance(self._policy, OfSeveralDataSets):
            self._policy.use_dataset(dataset)
            self._dataset = dataset


class AskedServer:
    """Implements ``Answering``: asks a ``PolicyServer``.

    Attributes:
        processes: that have answered so far; more than one where a process died and was replaced.
    """

    def __init__(self, server: Any, dataset: str | None) -> None:
        self._server, self._dataset = server, dataset
        self.processes: set[str] = set()

    def begin(self, instruction: str, task: str) -> None:
        """See ``Answering``."""
        import ray

        if why_not := ray.get(self._server.begin.remote(self._dataset, instruction, task)):
            raise ValueError(why_not)

    def answer(self, asked: Asked) -> Chunk:
        """See ``Answering``."""
        import ray

        process, chunk = ray.get(self._server.ask.remote(self._dataset, asked))
        self.processes.add(process)
        if isinstance(chunk, ChunkRefused):
            raise chunk
        return chunk

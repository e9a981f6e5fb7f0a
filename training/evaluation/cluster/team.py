"""Hands episodes to simulators and replaces those that die. Knows nothing of worlds."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from training.evaluation.cluster.played import Played
from training.evaluation.cluster.remote_errors import as_raised
from training.evaluation.episodes import EpisodeKey, Job

MOST_DEATHS = 3  # in one episode, or in a row before the first one
POLL = 1.0  # s


@dataclass(eq=False)
class _Seat:
    """A simulator's place. ``left``: of its job's episodes."""

    number: int
    actor: Any
    job: Job | None = None
    left: deque[EpisodeKey] = field(default_factory=deque)


class Team:
    """Simulators that play jobs.

    Args:
        start: number of a seat -> a fresh actor, and a reference that is there when it may be given episodes.
        most_growth: bytes; a simulator that has grown by more makes room for a fresh one.

    Attributes:
        died: simulators that did.
    """

    def __init__(
        self,
        start: Callable[[int], tuple[Any, ray.ObjectRef]],
        seats: int,
        finished: Callable[[Played], None],
        most_growth: int,
    ) -> None:
        self._start, self._finished, self._most_growth = start, finished, most_growth
        self._waiting: deque[Job] = deque()
        self._under_way: dict[ray.ObjectRef, tuple[_Seat, EpisodeKey | None]] = {}  # None: it is starting
        self._idle: list[_Seat] = []
        self._deaths: Counter[EpisodeKey | None] = Counter()
        self._seats = seats
        self.died = 0

    def play(self, jobs: Sequence[Job]) -> None:
        """Play every job.

        Raises:
            ChildProcessError: simulators die before they play, or again and again in the same episode.
            Exception: whatever an episode, or the start of a simulator, raised.
        """
        self._waiting.extend(jobs)
        for number in range(self._seats):
            self._fill(number)
        try:
            while self._has_work:
                self._hand_out()
                self._wait(POLL)
        finally:
            self._take_what_is_finished()
            for seat in [*self._idle, *(seat for seat, _ in self._under_way.values())]:
                ray.kill(seat.actor)

    @property
    def _has_work(self) -> bool:
        playing = any(key is not None for _, key in self._under_way.values())
        return playing or bool(self._waiting) or any(seat.left for seat in self._idle)

    def _fill(self, number: int) -> None:
        actor, ready = self._start(number)
        self._under_way[ready] = _Seat(number, actor), None

    def _hand_out(self) -> None:
        idle, self._idle = self._idle, []
        for seat in idle:
            if not seat.left and self._waiting:
                seat.job = self._waiting.popleft()
                seat.left = deque(seat.job.episodes)
            if not seat.left:
                self._idle.append(seat)
                continue
            key = seat.left.popleft()
            self._under_way[seat.actor.play.remote(key, key in seat.job.filmed)] = seat, key

    def _wait(self, timeout: float) -> None:
        done, _ = ray.wait(list(self._under_way), timeout=timeout)
        for reference in done:
            self._take(reference)

    def _take(self, reference: ray.ObjectRef) -> None:
        seat, key = self._under_way.pop(reference)
        try:
            with as_raised():
                played = ray.get(reference)
        except RayActorError as error:
            self._replace(seat, key, error)
            return
        self._idle.append(seat)
        if key is None:
            self._deaths[None] = 0
            return
        self._finished(played)
        if played.grown > self._most_growth:
            self._idle.remove(seat)
            ray.kill(seat.actor)
            self._leave(seat, seat.left)

    def _replace(self, seat: _Seat, key: EpisodeKey | None, error: RayActorError) -> None:
        self.died += 1
        self._deaths[key] += 1
        if self._deaths[key] >= MOST_DEATHS:
            where = "before their first episode" if key is None else f"in episode {key.name}"
            raise ChildProcessError(
                f"{MOST_DEATHS} simulators died {where}: is there too little memory for so many "
                f"(--cluster.simulators)? The same command goes on from here. The last one: {error}"
            ) from error
        self._leave(seat, seat.left if key is None else [key, *seat.left])

    def _leave(self, seat: _Seat, left: Sequence[EpisodeKey]) -> None:
        """Give back what a simulator has not played, and have another one started in its place."""
        if left:
            self._waiting.appendleft(replace(seat.job, episodes=tuple(left)))
        self._fill(seat.number)

    def _take_what_is_finished(self) -> None:
        """Of what was stopped."""
        if not self._under_way:
            return
        done, _ = ray.wait(list(self._under_way), num_returns=len(self._under_way), timeout=0)
        for reference in done:
            _, key = self._under_way[reference]
            try:
                if key is not None:
                    self._finished(ray.get(reference))
            except (RayTaskError, RayActorError):
                continue  # what stopped the team is told

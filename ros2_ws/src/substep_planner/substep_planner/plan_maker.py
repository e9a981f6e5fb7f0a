"""Makes plans with what there is to see and to ask at that moment: for tasks, and for the service decompose_task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from substep_interfaces.srv import DecomposeTask

from substep_core.errors import ErrorCode, PlanningError
from substep_core.plan import Plan
from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode
from substep_planner import messages as planner_messages
from substep_planner.cameras import Cameras
from substep_planner.decomposers.base import Decomposer, PlanRequest, SourcedPlan
from substep_planner.decomposers.fallback import Decomposition, decompose
from substep_planner.manager.events import EpisodeProgress, MakePlan, MakeRevision
from substep_planner.newest_image import NewestPicture
from substep_planner.parameters import PlannerSettings
from substep_planner.policy_words import PolicyWords
from substep_planner.revision import Revision, revise

PICTURE_WAIT = 5.0  # s that a plan waits for the first frame, where a decomposer looks at it


class PlanMaker:
    """Made when the node is configured; goes with its other entities.

    Args:
        words: the policy's, for decomposers that ask for them.
        episode: what is known of it now.

    Attributes:
        last: the newest plan, and what there is to say about it.
        skills: the robot's, once it is known.
        policy_skills: those that the policy was taught, once it says so.
    """

    def __init__(
        self,
        node: GraphNode,
        settings: PlannerSettings,
        cameras: Cameras,
        words: PolicyWords,
        episode: Callable[[], EpisodeProgress | None],
    ) -> None:
        self._node, self._words, self._episode = node, words, episode
        self._decomposers: tuple[Decomposer, ...] = settings.decomposers
        self._objects, self._counts = settings.objects, settings.counts
        self.skills: tuple[str, ...] = ()
        self.policy_skills: tuple[str, ...] = ()
        self._take_suggestions = settings.take_suggestions
        self.last: Decomposition | None = None
        self._scene = b""  # newest SceneState, serialised: its names are looked up when a plan is asked for
        node.subscribe(topics.SCENE_STATE, self._on_scene, raw=True)
        self._picture = NewestPicture() if settings.wants_picture else None
        if self._picture is not None:
            cameras.see(settings.picture_camera, self._picture.put, raw=True)
        node.serve(topics.DECOMPOSE_TASK, self._on_decompose, MutuallyExclusiveCallbackGroup())

    def make(self, request: MakePlan) -> SourcedPlan:
        """For a task. May take long. Raises: PlanningError: nobody has a plan."""
        return self._decompose(PlanRequest(request.instruction, request.suite, request.done, request.failure))

    def revise(self, request: MakeRevision) -> Revision:
        """What words make of a task. May take long. Raises: PlanningError: they are not understood."""
        objects, counts = self._scene_now()
        episode = self._episode()
        suite = episode.suite if episode is not None else ""

        def plan_of(sentence: str) -> Plan:
            return self._decompose(PlanRequest(sentence, suite, must_be_whole=True)).plan

        return revise(request.words, replace(request.running, objects=objects, counts=counts), plan_of)

    def _scene_now(self) -> tuple[frozenset[str], Mapping[str, int]]:
        """Categories of what is there, and how many of each, as far as it is known."""
        counts = planner_messages.categories_in_scene(self._scene) or self._counts
        return frozenset(counts) or self._objects, counts

    def _on_scene(self, serialised: bytes) -> None:
        self._scene = serialised

    def _decompose(self, request: PlanRequest) -> SourcedPlan:
        """With what there is to see now."""
        objects, counts = self._scene_now()
        picture = None if self._picture is None else self._picture.newest(PICTURE_WAIT)
        ask = partial(self._words.ask, request.instruction)
        able = {"skills": self.skills, "policy_skills": self.policy_skills, "ask_policy": ask}
        seen = replace(request, objects=objects, counts=counts, image=picture, **able)
        seen = replace(seen, take_suggestion=self._take_suggestions)
        result = decompose(seen, self._decomposers)
        if result.sourced.understood:
            self._node.say(f"plan by {result.sourced.source} understood {result.sourced.understood}")
        for remark in result.remarks:
            self._node.warn(f"plan by {result.sourced.source}: {remark}")
        self.last = result
        self._node.publish_diagnostics()
        return result.sourced

    def _on_decompose(self, request: DecomposeTask.Request, response: DecomposeTask.Response) -> DecomposeTask.Response:
        try:
            if not self._node.is_active:
                raise PlanningError(ErrorCode.NOT_ACTIVE, "the planner is not active")
            episode = self._episode()
            suite, own = (episode.suite, episode.instruction) if episode is not None else ("", "")
            sourced = self._decompose(PlanRequest(request.task or own, suite))
        except PlanningError as error:
            response.success, response.error_code, response.message = False, int(error.code), str(error)
            response.clarification = error.clarification
            return response
        response.success, response.source, response.understanding = True, sourced.source, sourced.understood
        response.substeps = planner_messages.substeps_to_messages(sourced.plan.substeps)
        return response

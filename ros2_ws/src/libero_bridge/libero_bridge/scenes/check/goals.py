"""Checks that a task's goal can hold: puts its objects and joints into goal states and asks LIBERO's predicates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from libero_bridge.scenes.check.physics import HeldWorld, quat_matrix, quat_multiply, turn

DROP_TIME, DRIVE_TIME = 0.4, 0.8  # s: an object falls into place, a joint is moved
ATTEMPTS = 6
OFFSETS = [(0, 0), (0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5), (0.5, 0.5), (-0.5, -0.5), (0.85, 0), (-0.85, 0), (0, 0.85)]
OFFSETS += [(0, -0.85), (0.85, 0.85), (-0.85, -0.85)]
CENTRED = 0.015  # m: how far from the middle an object may be put on another one
LIFTS = np.arange(0.0, 0.25, 0.004)  # m above the lowest place that would count
JOINT_RANGES = {
    "open": "default_open_ranges",
    "close": "default_close_ranges",
    "turnon": "default_turnon_ranges",
    "turnoff": "default_turnoff_ranges",
}


@dataclass(frozen=True)
class GoalPlace:
    """Where an object is to be put: a point (m), the half sizes to vary it within, and the frame of both (3, 3)."""

    point: np.ndarray
    half: np.ndarray
    frame: np.ndarray


def reach_goal(env, init_state: np.ndarray) -> dict[str, bool]:
    """Goal predicate -> whether it holds once everything was put in place, all of them at the same time.

    Args:
        env: the robosuite environment inside of LIBERO's wrapper, reset.
        init_state: (1 + nq + nv,) where to start from.
    """
    goal = env.parsed_problem["goal_state"]
    for attempt in range(ATTEMPTS):
        world = HeldWorld(env, init_state)
        _prepare(world, goal)
        for predicate in _supports_first(goal):
            if predicate[0] in ("in", "on"):
                _put(world, predicate, skip=attempt)
        for predicate in goal:
            if predicate[0] in JOINT_RANGES:
                _drive(world, predicate[1], predicate[0])
        world.run(DROP_TIME)
        reached = {" ".join(predicate): bool(env._eval_predicate(predicate)) for predicate in goal}
        if all(reached.values()):
            break
    return reached


def _prepare(world: HeldWorld, goal: list) -> None:
    """Opens what something has to go into."""
    for predicate in goal:
        if predicate[0] == "in" and _has_doors(world.env, predicate[2]):
            _drive(world, predicate[2], "open")


def _has_doors(env, region: str) -> bool:
    owner = env.get_object(env.object_states_dict[region].parent_name)
    return bool(owner.object_properties.get("articulation", {}).get("default_open_ranges"))


def _supports_first(goal: list) -> list:
    moved = {predicate[1] for predicate in goal}
    return sorted(goal, key=lambda predicate: len(predicate) > 2 and predicate[2] in moved)


def _drive(world: HeldWorld, name: str, kind: str) -> None:
    """Moves the joints of a fixture, or those of the part that a region belongs to, into the range of a predicate."""
    env = world.env
    state = env.object_states_dict[name]
    is_region = state.object_state_type == "site"
    owner = env.get_object(state.parent_name if is_region else name)
    joints = (env.object_sites_dict[name].joints if is_region else None) or owner.joints
    target = float(np.mean(owner.object_properties["articulation"][JOINT_RANGES[kind]]))
    for joint in joints:
        world.drive(joint, target, DRIVE_TIME)


def _put(world: HeldWorld, predicate: list, skip: int) -> bool:
    """Drops the object at one place after another, from the `skip`-th on, until the predicate holds."""
    kind, name, target = predicate
    place = _place(world, kind, target)
    before = world.save()
    for index, (position, quaternion) in enumerate(_poses(world, name, place)):
        if index < skip or not world.lift_until_free(name, position, quaternion, LIFTS):
            continue
        if _holds_after_drop(world, predicate) and _holds_after_drop(world, predicate):  # not just while it falls past
            return True
        world.restore(before)
    return False


def _holds_after_drop(world: HeldWorld, predicate: list) -> bool:
    world.run(DROP_TIME)
    return bool(world.env._eval_predicate(predicate))


def _place(world: HeldWorld, kind: str, target: str) -> GoalPlace:
    env, data = world.env, world.data
    state = env.object_states_dict[target]
    if state.object_state_type == "object":
        body = env.obj_body_id[target]
        return GoalPlace(data.xpos[body].copy(), np.full(3, CENTRED), data.xmat[body].reshape(3, 3).copy())
    site = world.model.site(target).id
    parent = env.obj_body_id.get(state.parent_name, 0)
    frame = data.xmat[parent].reshape(3, 3).copy()
    half = np.abs(frame.T @ data.site_xmat[site].reshape(3, 3) @ world.model.site_size[site])
    point = data.site_xpos[site].copy()
    if kind == "in":
        point[2] -= half[2]
    return GoalPlace(point, half, frame)


def _poses(world: HeldWorld, name: str, place: GoalPlace) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions (m) and quaternions (wxyz) to try: upright in the middle first, lying at the edge last."""
    for quaternion in _turns(world.quaternion(name), place.frame):
        for x, y in OFFSETS:
            yield place.point + place.frame @ np.array([x * place.half[0], y * place.half[1], 0.0]), quaternion


def _turns(quaternion: np.ndarray, frame: np.ndarray) -> Iterator[np.ndarray]:
    """As it stands; then square to the place's frame; then tipped over about the frame's axes."""
    yield quaternion
    axes = quat_matrix(quaternion)
    flattest = axes[:, np.argmin(np.abs(axes[2]))]
    heading = np.arctan2(frame[1, 0], frame[0, 0]) - np.arctan2(flattest[1], flattest[0])
    square = [quat_multiply(turn((0, 0, 1), heading + quarter * np.pi / 2), quaternion) for quarter in range(4)]
    yield from square
    for axis in (1, 0):
        for angle in (np.pi / 2, -np.pi / 2):
            for upright in square[:2]:
                yield quat_multiply(turn(frame[:, axis], angle), upright)

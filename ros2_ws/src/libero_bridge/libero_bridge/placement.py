"""Where objects start for ``Placement.WIDENED``: random places in enlarged regions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import mujoco
import numpy as np


@dataclass(frozen=True)
class WideningLimits:
    """How far WIDENED goes beyond the benchmark.

    Attributes:
        margin: m, by which a region of the BDDL grows on each side.
        related_margin: m, the same for an object whose place the task describes ("next to the plate").
        yaw: rad, turn about the vertical, either way.
        clearance: m, free space around each object.
        area: (x low, y low, x high, y high) in m around the middle of the table: where the benchmark puts objects.
        order_gap: m; objects of a kind that lie further apart in x or y keep their order there ("the left bowl").
    """

    margin: float = 0.08
    related_margin: float = 0.02
    yaw: float = 0.5
    clearance: float = 0.02
    area: tuple[float, float, float, float] = (-0.28, -0.35, 0.23, 0.35)
    order_gap: float = 0.04


class NoRoomError(ValueError):
    """No collision-free placement was found: another seed may have one, or there is too little room."""


class WidenedPlacement:
    """Moves the movable objects of a benchmark initial state that stand on the table.

    What the task says about places stays true: fixtures do not move, neither do objects that a goal region of the table
    is named after ("to the right of the plate"); what stands on an object goes along with it; "next to" and "between"
    follow their reference objects; objects of a kind keep their order.
    """

    DRAWS_PER_OBJECT, DRAWS_OF_ALL = 60, 50

    def __init__(self, env, limits: WideningLimits | None = None) -> None:
        """env: the robosuite environment, in the benchmark initial state to start from."""
        self._env = env
        self._limits = limits or WideningLimits()
        self._model = env.sim.model._model
        self._data = env.sim.data._data
        self._collisions = _Collisions(env)
        self._regions = _table_regions(env)
        self._supports = _supports(env)
        self._start = {name: self._pose(name).copy() for name in (*self._regions, *self._supports)}

    def place(self, rng: np.random.Generator) -> None:
        """Draws new places and writes them into the simulation's state.

        Raises:
            NoRoomError: there was no room; this hints at limits that do not fit the scene.
        """
        for _ in range(self.DRAWS_OF_ALL):
            if self._place_all(rng):
                return
        raise NoRoomError(f"no collision-free placement of {', '.join(self._regions)} within {self._limits}")

    def _place_all(self, rng: np.random.Generator) -> bool:
        movable = self._movable()
        for name in movable:
            self._move(name, np.array([0.0, 0.0, 2.0]), 0.0)  # out of the way of those placed before it
        placed = [name for name in self._regions if name not in movable]
        for name in movable:
            if not self._place_one(name, placed, rng):
                return False
            placed.append(name)
        return True

    def _place_one(self, name: str, placed: list[str], rng: np.random.Generator) -> bool:
        for _ in range(self.DRAWS_PER_OBJECT):
            low, high = self._allowed(name)
            target = rng.uniform(low, high)
            shift = np.append(target - self._start[name][:2], 0.0)
            self._move(name, shift, rng.uniform(-self._limits.yaw, self._limits.yaw))
            if self._keeps_order(name, placed) and not self._collisions.any(self._group(name), self._limits.clearance):
                return True
        return False

    def _movable(self) -> list[str]:
        """Reference objects first."""
        places = [state[-1] for state in self._env.parsed_problem["goal_state"]]
        goals = [place for place in places if _is_table_region(self._env, place)]
        free = [name for name in self._regions if not any(_category(name) in goal for goal in goals)]
        return sorted(free, key=lambda name: len(self._references(name)))

    def _allowed(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Corners (2,) of where the object's origin may go, world frame."""
        references = self._references(name)
        related = bool(references) or "center" in self._regions[name][0]
        margin = self._limits.related_margin if related else self._limits.margin
        shifts = [self._pose(other)[:2] - self._start[other][:2] for other in references]
        shift = np.mean(shifts, axis=0) if shifts else np.zeros(2)
        origin = np.asarray(self._env.workspace_offset[:2])
        rectangle = np.array(self._regions[name][1])
        low, high = rectangle[:2] + origin + shift - margin, rectangle[2:] + origin + shift + margin
        area = np.array(self._limits.area)
        return np.clip(low, area[:2] + origin, area[2:] + origin), np.clip(high, area[:2] + origin, area[2:] + origin)

    def _references(self, name: str) -> list[str]:
        """Objects whose place this one's is described by: its region is called "next_to_X" or "between_X_Y"."""
        region = self._regions[name][0]
        described = region.partition("_next_to_")[2] or region.partition("_between_")[2]
        words = described.removesuffix("_region").split("_") if described else []
        table = region.split("_next_to_")[0].split("_between_")[0]
        wanted = {f"{table}_{word}_region" for word in words}
        return [other for other, (other_region, _) in self._regions.items() if other_region in wanted]

    def _keeps_order(self, name: str, placed: list[str]) -> bool:
        rivals = [other for other in placed if _kind(other) == _kind(name)]
        for other in rivals:
            before = self._start[name][:2] - self._start[other][:2]
            after = self._pose(name)[:2] - self._pose(other)[:2]
            apart = np.abs(before) > self._limits.order_gap
            if (apart & (after * np.sign(before) < self._limits.order_gap)).any():
                return False
        return True

    def _move(self, name: str, shift: np.ndarray, yaw: float) -> None:
        """Puts an object, with what stands on it, ``shift`` (3,) m from its start and turns it about its own origin."""
        turn = np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
        centre = self._start[name][:3]
        for member in self._group(name):
            start, pose = self._start[member], self._pose(member)
            mujoco.mju_rotVecQuat(pose[:3], start[:3] - centre, turn)
            pose[:3] += centre + shift
            mujoco.mju_mulQuat(pose[3:], turn, start[3:])

    def _group(self, name: str) -> list[str]:
        """An object and what stands on it."""
        return [name, *(rider for rider, support in self._supports.items() if support == name)]

    def _pose(self, name: str) -> np.ndarray:
        """(7,) view into qpos: position (m), quaternion wxyz."""
        start, end = self._env.sim.model.get_joint_qpos_addr(self._env.objects_dict[name].joints[-1])
        return self._data.qpos[start:end]


class _Collisions:
    """Whether given objects touch anything but the table, or what they touched at the start."""

    def __init__(self, env) -> None:
        self._model = env.sim.model._model
        self._data = env.sim.data._data
        self._owner = np.full(self._model.ngeom, -1)
        self._index: dict[str, int] = {}
        for index, (name, instance) in enumerate({**env.objects_dict, **env.fixtures_dict}.items()):
            self._index[name] = index
            self._owner[[env.sim.model.geom_name2id(geom) for geom in instance.contact_geoms]] = index
        for robot_model in (env.robots[0].robot_model, env.robots[0].gripper):
            self._owner[[env.sim.model.geom_name2id(geom) for geom in robot_model.contact_geoms]] = len(self._index)
        self._allowed = self._touching_pairs()

    def any(self, names: list[str], clearance: float) -> bool:
        wanted = {self._index[name] for name in names}
        with self._margin(clearance):
            pairs = self._touching_pairs() - self._allowed
        return any(wanted & pair for pair in pairs)

    def _touching_pairs(self) -> set[frozenset[int]]:
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_collision(self._model, self._data)
        owners = self._owner[self._data.contact.geom[: self._data.ncon]]
        return {frozenset(pair) for pair in owners[(owners >= 0).all(axis=1)].tolist() if pair[0] != pair[1]}

    @contextmanager
    def _margin(self, clearance: float) -> Iterator[None]:
        before = self._model.geom_margin.copy()
        self._model.geom_margin[self._owner >= 0] = clearance / 2  # MuJoCo adds both geoms' margins
        try:
            yield
        finally:
            self._model.geom_margin[:] = before


def _table_regions(env) -> dict[str, tuple[str, list[float]]]:
    """Movable object that starts on the table -> its region's name and rectangle (x low, y low, x high, y high)."""
    regions = env.parsed_problem["regions"]
    return {
        state[1]: (state[2], regions[state[2]]["ranges"][0])
        for state in env.parsed_problem["initial_state"]
        if state[0] == "on" and state[1] in env.objects_dict and _is_table_region(env, state[2])
    }


def _is_table_region(env, name: str) -> bool:
    region = env.parsed_problem["regions"].get(name)
    return region is not None and env.get_object(region["target"]) is None


def _supports(env) -> dict[str, str]:
    """Object that starts on another movable object -> that object."""
    states = env.parsed_problem["initial_state"]
    return {state[1]: state[2] for state in states if state[0] == "on" and state[2] in env.objects_dict}


def _category(instance: str) -> str:
    return instance.rpartition("_")[0]


def _kind(instance: str) -> str:
    """What a sentence would call it: akita_black_bowl_1 -> bowl."""
    return _category(instance).rpartition("_")[2]

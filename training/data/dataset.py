"""Training samples: a frame, the instruction of its substep, the next C actions and where the substep ends."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from substep_core.configuration import configuration
from substep_core.language.skills import skills_in
from substep_core.named_substep import TASK_DONE
from training.data.frame_cache import DemonstrationStore, StoredEpisode
from training.data.frame_file import FrameFile
from training.data.grippers import gripper_commands, has_keyframes
from training.data.keyframes import gripper_changes, is_shown, keyframe_of
from training.data.planned_store import PlannedStore
from training.labels.file import UNLABELLED, EpisodeLabels, SubstepLabels

COPIES = {"suite_copies": "suite", "collection_copies": "collection"}  # by which attribute of an episode


@configuration
class SampleRules:
    """How samples are cut from demonstrations.

    Attributes:
        use_substep_decomposition: False trains on the whole task's instruction throughout.
        mask_after_boundary: actions after a boundary belong to another instruction and do not count; False keeps
            the seed's behaviour, which trains on them.
        late_steps: timesteps after a boundary that are also shown with the instruction just completed and EOS at
            once, so that a policy that went past the end still finds it; 0 shows none.
        suite_copies: how often a pass shows the demonstrations of a suite, by its name; once when it is not named. For
            a mixture in which long tasks count for more.
        collection_copies: the same of the sources of a ``collection``, times ``suite_copies``. For a few demonstrations
            of what a policy could not do yet beside the many it has learned from.
        gripper_copies: how often a pass shows the ``gripper_steps`` timesteps before and after every change of the
            gripper's command. There millimetres decide; on the way there a rough direction will do. A robot without a
            gripper has none to show.
        done_copies: how often a pass shows the last timestep of a demonstration besides, at which a policy that names
            substeps is taught to say that the task is done. It is one timestep among hundreds.
        words_every: words are taught at every n-th timestep, where the instruction shown has ended, and at the last
            timestep: they change seldom and are learned long before the actions, and reading them costs as much.
    """

    use_substep_decomposition: bool = True
    mask_after_boundary: bool = True
    late_steps: int = 0
    suite_copies: Mapping[str, int] = field(default_factory=dict)
    collection_copies: Mapping[str, int] = field(default_factory=dict)
    gripper_copies: int = 1
    gripper_steps: int = 8
    done_copies: int = 0
    words_every: int = 1

    def __post_init__(self) -> None:
        for name, least in (
            ("late_steps", 0),
            ("done_copies", 0),
            ("gripper_copies", 1),
            ("gripper_steps", 1),
            ("words_every", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be {least} or more")
        for name in COPIES:
            for shown, copies in getattr(self, name).items():
                if copies < 1:
                    raise ValueError(f"{name}.{shown} is {copies}, must be 1 or more")

    def copies(self, episode: StoredEpisode) -> int:
        """How often a pass shows a demonstration."""
        return self.suite_copies.get(episode.suite, 1) * self.collection_copies.get(episode.collection, 1)

    def check_names(self, episodes: Sequence[StoredEpisode]) -> None:
        """Raises: ValueError: copies are asked for of a suite or collection that none of the episodes is of."""
        for name, attribute in COPIES.items():
            there = {getattr(episode, attribute) for episode in episodes}
            if strangers := set(getattr(self, name)) - there:
                raise ValueError(f"{name} names {sorted(strangers)}, the demonstrations are of {sorted(there)}")

    def shown_once(self) -> SampleRules:
        """The same without copies and with all words, for what is measured and not learned."""
        return replace(self, suite_copies={}, collection_copies={}, gripper_copies=1, done_copies=0, words_every=1)


@dataclass
class LabelUse:
    """What the labels gave. Nothing falls back to the task's instruction unsaid."""

    labelled_episodes: int = 0
    unlabelled_episodes: list[str] = field(default_factory=list)
    unequal_lengths: list[str] = field(default_factory=list)
    unlabelled_timesteps: int = 0

    def __str__(self) -> str:
        return (
            f"{self.labelled_episodes} episodes with substep labels; the task's own instruction stands in for "
            f"{len(self.unlabelled_episodes)} episodes without labels, {len(self.unequal_lengths)} with labels of "
            f"another length, and {self.unlabelled_timesteps} timesteps without a label"
        )


@dataclass(frozen=True)
class Sample:
    """One timestep. C is the chunk length.

    Attributes:
        row: number of the timestep in the store.
        frame: (cameras, S, S, 3) uint8; None of a data set ``without_frames``.
        proprio: (S,) float32.
        actions: (C, A) float32, the last one repeated beyond the episode's end.
        mask: (C,) bool, the actions that count.
        eos_labels: (C, 1) float32, 1 at the first boundary in the chunk.
        way: (3,) float32 m, base frame, from the end effector to where it is at the next keyframe
            (``training.data.keyframes``).
        has_way: False after the substep's end, where the instruction leads nowhere any more, before a disturbance, and
            always of a robot without gripper or end effector position.
        instruction, task: the substep's text, perhaps in other words, and the whole task's.
        next_substep: what comes next in the plan's own words, also after the end of the substep that is shown, or that
            the task is done; empty where no label says it, or it is not taught (``SampleRules.words_every``).
    """

    row: int
    frame: np.ndarray | None
    proprio: np.ndarray
    actions: np.ndarray
    mask: np.ndarray
    eos_labels: np.ndarray
    way: np.ndarray
    has_way: bool
    instruction: str
    task: str
    next_substep: str = ""


@dataclass(frozen=True)
class EpisodeTruth:
    """Labels of a stored episode as the rules read them: instruction number and boundary of every timestep.

    ``labelled``: how many of the instructions are substeps; the last one of all is else the whole task's.
    """

    instructions: tuple[str, ...]
    number: np.ndarray
    is_end: np.ndarray
    labelled: int = 0

    @property
    def is_finished(self) -> bool:
        """The last timestep ends the last substep of the plan."""
        return bool(self.is_end[-1]) and self.number[-1] == self.labelled - 1

    def next_substep(self, timestep: int) -> str:
        """The substep of a timestep, or at the end of the last one that the task is done; empty without a label."""
        number = self.number[timestep]
        if number >= self.labelled:
            return ""
        return TASK_DONE if self.is_finished and timestep == len(self.number) - 1 else self.instructions[number]


class SubstepDataset:
    """Timesteps of stored demonstrations as samples, by number."""

    def __init__(
        self,
        store: DemonstrationStore | PlannedStore,
        labels: Mapping[str, SubstepLabels],
        rules: SampleRules,
        episodes: list[StoredEpisode],
        chunk_length: int,
    ) -> None:
        """Args: labels: by collection. Raises: ValueError: as ``SampleRules.check_names`` does."""
        rules.check_names(episodes)
        self.rules, self.episodes, self.chunk_length = rules, episodes, chunk_length
        self.robot, self.label_use = store.format.robot, LabelUse()
        self.frames: FrameFile | None = store.frames()
        self._actions, self._proprio, self._taught = store.steps()
        self.truths = [read_truth(episode, labels[episode.collection], rules, self.label_use) for episode in episodes]
        self._ways = [self._ways_of(number) for number in range(len(episodes))]
        self._index = np.concatenate([self._samples_of(number) for number in range(len(episodes))])

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, number: int) -> Sample:
        episode, timestep, shown = map(int, self._index[number])
        return self.sample(episode, timestep, shown)

    def shares(self) -> dict[str, tuple[float, float, float]]:
        """By suite: its share of all samples, and those of its rarest and its commonest task."""
        found: dict[str, Counter[str]] = {}
        counts = np.bincount(self._index[:, 0], minlength=len(self.episodes))
        for episode, count in zip(self.episodes, counts / len(self), strict=True):
            found.setdefault(episode.suite, Counter())[episode.task] += float(count)
        return {suite: (tasks.total(), min(tasks.values()), max(tasks.values())) for suite, tasks in found.items()}

    def sample(self, episode: int, timestep: int, shown: int | None = None) -> Sample:
        """The sample of a timestep, with the instruction of its substep, or of timestep ``shown`` before it."""
        stored, truth = self.episodes[episode], self.truths[episode]
        shown = timestep if shown is None else shown
        steps = np.arange(timestep, timestep + self.chunk_length)
        inside = steps < stored.length
        steps = np.minimum(steps, stored.length - 1)
        is_late = shown < timestep
        mask, eos_labels = self._targets(truth, steps, inside, is_late)
        rows = stored.start + steps
        return Sample(
            row=stored.start + timestep,
            frame=None if self.frames is None else self.frames[stored.start + timestep],
            proprio=self._proprio[stored.start + timestep],
            actions=self._actions[rows],
            mask=mask & np.logical_and.accumulate(self._taught[rows]),
            eos_labels=eos_labels,
            way=self._ways[episode][0][timestep],
            has_way=bool(self._ways[episode][1][timestep]) and not is_late,
            instruction=truth.instructions[truth.number[shown]],
            task=stored.instruction,
            next_substep=truth.next_substep(timestep) if self._says_words(stored, timestep, is_late) else "",
        )

    def _says_words(self, stored: StoredEpisode, timestep: int, is_late: bool) -> bool:
        return is_late or timestep % self.rules.words_every == 0 or timestep == stored.length - 1

    def without_frames(self) -> SubstepDataset:
        """The same samples, for a training that has no use for their frames: none is read."""
        other = copy.copy(self)
        other.frames = None
        return other

    @property
    def skills(self) -> tuple[str, ...]:
        """That these episodes show, see ``skills_in``; none where a whole task is among what they are labelled with."""
        if any(truth.number.max() >= truth.labelled for truth in self.truths):
            return ()
        shown = {truth.instructions[number] for truth in self.truths for number in np.unique(truth.number)}
        return skills_in(shown, self.robot.skills)

    def training_actions(self) -> np.ndarray:
        """(N, A) all actions of these episodes that are examples, for statistics."""
        rows = self._rows()
        return self._actions[rows][self._taught[rows]]

    def training_proprio(self) -> np.ndarray:
        """(N, S) proprioception of every timestep of these episodes."""
        return self._proprio[self._rows()]

    def _targets(
        self, truth: EpisodeTruth, steps: np.ndarray, inside: np.ndarray, is_late: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which actions count (C,), and the EOS label of each (C, 1)."""
        eos_labels = np.zeros((len(steps), 1), np.float32)
        if is_late:  # the substep is over: EOS at once, and no action is right
            eos_labels[0] = 1.0
            return np.zeros(len(steps), bool), eos_labels
        ends = np.flatnonzero(truth.is_end[steps] & inside)
        if len(ends):
            eos_labels[ends[0]] = 1.0
        if not self.rules.mask_after_boundary:
            return inside, eos_labels
        mask = inside.copy()
        if len(ends):
            mask[ends[0] + 1 :] = False
        return mask, eos_labels

    def _ways_of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Of every timestep of an episode: ``way`` (T, 3), and whether it is shown (T,) bool."""
        stored = self.episodes[number]
        rows = slice(stored.start, stored.start + stored.length)
        if not has_keyframes(self.robot):
            return np.zeros((stored.length, 3), np.float32), np.zeros(stored.length, bool)
        keyframes = keyframe_of(gripper_commands(self.robot, self._actions[rows]), self.truths[number].is_end)
        positions = self._proprio[rows, self.robot.state_slice(self.robot.position)]
        return positions[keyframes] - positions, is_shown(keyframes, self._taught[rows])

    def _samples_of(self, number: int) -> np.ndarray:
        """(M, 3): episode, timestep, timestep whose instruction is shown. Disturbances are nothing to learn from."""
        stored, truth = self.episodes[number], self.truths[number]
        length = stored.length
        steps = np.flatnonzero(self._taught[stored.start : stored.start + length])
        rows = [np.stack([steps, steps], axis=1)]
        if self.rules.gripper_copies > 1:
            near = steps[self._is_near_change(stored)[steps]]
            rows += [np.stack([near, near], axis=1)] * (self.rules.gripper_copies - 1)
        if truth.is_finished:
            rows += [np.array([[length - 1, length - 1]])] * self.rules.done_copies
        for end in np.flatnonzero(truth.is_end[:-1]):
            late = np.arange(end + 1, min(end + 1 + self.rules.late_steps, length))
            rows.append(np.stack([late, np.full(len(late), end)], axis=1))
        pairs = np.concatenate(rows * self.rules.copies(stored))
        return np.concatenate([np.full((len(pairs), 1), number), pairs], axis=1)

    def _is_near_change(self, stored: StoredEpisode) -> np.ndarray:
        """(T,) bool: a gripper's command changes within ``gripper_steps`` timesteps, and not by a disturbance."""
        rows = slice(stored.start, stored.start + stored.length)
        commands = gripper_commands(self.robot, self._actions[rows])
        changes = gripper_changes(commands) & np.append(self._taught[rows][1:], False)
        is_near = np.zeros(stored.length, bool)
        for last in np.flatnonzero(changes):  # with the old command
            is_near[max(0, last + 1 - self.rules.gripper_steps) : last + 1 + self.rules.gripper_steps] = True
        return is_near

    def _rows(self) -> np.ndarray:
        return np.concatenate([np.arange(e.start, e.start + e.length) for e in self.episodes])


def read_truth(episode: StoredEpisode, labels: SubstepLabels, rules: SampleRules, use: LabelUse) -> EpisodeTruth:
    """Labels of an episode under the rules; what is missing is counted in ``use``."""
    found = labels.find(episode.suite, episode.task, episode.episode) if rules.use_substep_decomposition else None
    if rules.use_substep_decomposition:
        if found is None:
            use.unlabelled_episodes.append(episode.key)
        elif len(found) != episode.length:
            use.unequal_lengths.append(f"{episode.key}: {len(found)} labels for {episode.length} timesteps")
            found = None
        else:
            use.labelled_episodes += 1
            use.unlabelled_timesteps += int((found.substep_index == UNLABELLED).sum())
    return whole_task_truth(episode) if found is None else _labelled_truth(episode, found)


def whole_task_truth(episode: StoredEpisode) -> EpisodeTruth:
    """One instruction, the task's, which ends with the episode."""
    is_end = np.zeros(episode.length, bool)
    is_end[-1] = True
    return EpisodeTruth((episode.instruction,), np.zeros(episode.length, int), is_end)


def _labelled_truth(episode: StoredEpisode, labels: EpisodeLabels) -> EpisodeTruth:
    texts = [substep.instruction.lower() for substep in labels.substeps]
    number = np.where(labels.substep_index == UNLABELLED, len(texts), labels.substep_index)
    return EpisodeTruth((*texts, episode.instruction), number, labels.is_end, len(texts))


def split_episodes(
    episodes: list[StoredEpisode], held_out_every: int
) -> tuple[list[StoredEpisode], list[StoredEpisode]]:
    """Training and held-out episodes: every ``held_out_every``-th of a task in a collection is held out; with 0 none.

    Which ones they are depends neither on the order of files nor on other collections.
    """
    training, held_out = [], []
    seen: Counter[str] = Counter()
    for episode in sorted(episodes, key=lambda e: (e.collection, e.suite, e.task, len(e.episode), e.episode)):
        task = f"{episode.collection}:{episode.suite}/{episode.task}"
        seen[task] += 1
        is_held_out = held_out_every and seen[task] % held_out_every == 0
        (held_out if is_held_out else training).append(episode)
    return training, held_out

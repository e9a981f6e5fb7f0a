"""Plans that a model has made, kept by what they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from substep_core.plan import Plan, PlanFormatError, plan_from_json, steps_to_json


@dataclass(frozen=True)
class CacheKey:
    """What a plan depends on. ``instruction`` is in its matching form, ``objects`` are those the model was told."""

    backend: str
    model: str
    prompt_version: str
    instruction: str
    objects: tuple[str, ...] = ()


class PlanCache:
    """In memory, and in a folder (one file a plan) where one is given."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._plans: dict[CacheKey, Plan] = {}

    def get(self, key: CacheKey) -> Plan | None:
        """The plan kept for this key.

        Raises:
            PlanFormatError: its file is damaged; the message names the file.
        """
        if key not in self._plans and self._folder is not None and self._path(key).exists():
            self._plans[key] = self._read(key)
        return self._plans.get(key)

    def put(self, key: CacheKey, plan: Plan) -> None:
        """Keep a plan. The file appears whole or not at all."""
        self._plans[key] = plan
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        entry = {"key": asdict(key), "steps": steps_to_json(plan.substeps)}
        with tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=".part", delete=False) as file:
            json.dump(entry, file, indent=1)
        os.replace(file.name, self._path(key))

    def _path(self, key: CacheKey) -> Path:
        return self._folder / (hashlib.sha256(json.dumps(asdict(key)).encode()).hexdigest()[:32] + ".json")

    def _read(self, key: CacheKey) -> Plan:
        path = self._path(key)
        try:
            steps = json.loads(path.read_text())["steps"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise PlanFormatError(f"cached plan {path} is damaged ({error}); delete it") from error
        return plan_from_json(key.instruction, steps, f"cached plan {path}")

"""What a container's memory limit leaves, and weights that are more than that."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from substep_policy import memory
from substep_policy.memory import CGROUPS, TooLargeError, check_fits, free_memory, room

# The limit is 1000 bytes; 700 are taken, 250 of which hold files that were read.
FILES = {
    "memory.max": "1000\n",
    "memory.current": "700\n",
    "memory.limit_in_bytes": "1000\n",
    "memory.usage_in_bytes": "700\n",
    "memory.stat": "anon 450\ninactive_file 200\nactive_file 50\ntotal_inactive_file 200\ntotal_active_file 50\n",
}


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which version 2 of cgroups is, on a computer with 5000 bytes free."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=5000))
    monkeypatch.setattr(memory, "CGROUPS", (replace(CGROUPS[0], folder=tmp_path),))
    return tmp_path


@pytest.mark.parametrize("cgroup", CGROUPS, ids=["version 2", "version 1"])
def test_files_that_were_read_make_room_where_it_is_needed(container: Path, cgroup: memory.Cgroup):
    assert room(replace(cgroup, folder=container)) == 550


@pytest.mark.parametrize("cgroup", CGROUPS, ids=["version 2", "version 1"])
def test_without_a_container_there_is_no_limit(tmp_path: Path, cgroup: memory.Cgroup):
    assert room(replace(cgroup, folder=tmp_path)) == math.inf


def test_what_is_free_is_the_less_of_computer_and_container(container: Path):
    assert free_memory() == 550
    (container / "memory.max").write_text("max\n")
    assert free_memory() == 5000


def test_weights_that_the_container_has_no_room_for_are_refused(container: Path):
    cpu, weights = torch.device("cpu"), nn.Linear(200, 1)
    with pytest.raises(TooLargeError, match="my_policy: the weights take 0.0 GB in torch.float32, .*bfloat16 has 2"):
        check_fits(weights, cpu, torch.float32, "my_policy")
    check_fits(weights, cpu, torch.bfloat16, "my_policy")

"""The pack on disk: written once, complete, and safe when several processes want it at the same time."""

from __future__ import annotations

import os
import subprocess
import sys

from libero_bridge.scenes.catalogue import catalogue
from libero_bridge.scenes.pack import pack_path, write_pack

ASK = "from libero_bridge.scenes.pack import pack_path; print(pack_path())"


def test_pack_is_small_and_holds_every_asset(tmp_path):
    write_pack(tmp_path)
    assert all((tmp_path / path).is_file() for path in catalogue())
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 5_000_000


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_pack(tmp_path / name)
    files = [file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file()]
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_second_call_finds_the_first_ones_pack(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = pack_path()
    marker = first / "marker"
    marker.touch()
    assert pack_path() == first
    assert marker.exists()


def test_processes_that_start_together_share_one_complete_pack(tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    asked = [subprocess.Popen([sys.executable, "-c", ASK], env=environment, stdout=subprocess.PIPE) for _ in range(4)]
    answers = {process.communicate(timeout=120)[0].decode().strip() for process in asked}
    assert [process.returncode for process in asked] == [0] * 4
    assert len(answers) == 1
    assert [entry.name for entry in (tmp_path / "substep").iterdir()] == [answers.pop().rpartition("/")[2]]
    pack = next((tmp_path / "substep").iterdir())
    assert all((pack / path).is_file() for path in catalogue())

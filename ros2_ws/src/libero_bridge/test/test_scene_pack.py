"""The pack on disk: written once, complete, and safe when several processes want it at the same time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from libero_bridge.scenes.catalogue import catalogue
from libero_bridge.scenes.pack import write_pack

ASK = "from libero_bridge.scenes.pack import pack_path; print(pack_path())"


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    write_pack(folder)
    return folder


def test_pack_is_small_and_holds_every_asset(pack):
    assert all((pack / path).is_file() for path in catalogue())
    assert sum(file.stat().st_size for file in pack.rglob("*") if file.is_file()) < 5_000_000


def test_another_process_makes_the_same_pack_only_once(pack, tmp_path):
    """Two processes start together with an empty cache, then a third one finds it filled."""
    environment = {**os.environ, "SUBSTEP_CACHE": str(tmp_path / "substep")}
    asked = [_ask(environment), _ask(environment)]
    answers = {process.communicate(timeout=120)[0].strip() for process in asked}
    assert [process.returncode for process in asked] == [0, 0]
    (folder,) = (tmp_path / "substep").iterdir()
    assert answers == {str(folder)}
    assert _content(folder) == _content(pack)
    (folder / "marker").touch()
    assert _ask(environment).communicate(timeout=120)[0].strip() == str(folder)
    assert (folder / "marker").exists()


def _ask(environment):
    return subprocess.Popen([sys.executable, "-c", ASK], env=environment, stdout=subprocess.PIPE, text=True)


def _content(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

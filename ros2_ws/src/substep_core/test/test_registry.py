"""Registries: installed distributions add names, and faults name the distribution."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from substep_core.registry import Registry, RegistryError

GROUP = "substep.test_shapes"
SHAPES = Registry[object]("shape", GROUP)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that puts a distribution with entry points on the path, as pip would."""

    def add(distribution: str, **targets: str) -> None:
        folder = tmp_path / distribution
        info = folder / f"{distribution}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        lines = [f"{name} = {target}" for name, target in targets.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        (folder / f"{distribution}.py").write_text("square = 4\n")
        monkeypatch.syspath_prepend(folder)

    return add


def test_a_distribution_adds_names_and_is_imported_only_when_one_is_loaded(install):
    install("corners", square="corners:square", circle="corners:circle")
    assert SHAPES.names == ("circle", "square")
    assert "square" in SHAPES and "hexagon" not in SHAPES
    assert "corners" not in sys.modules
    assert SHAPES.load("square") == 4


def test_an_unknown_name_lists_what_there_is_and_where_it_comes_from(install):
    install("corners", square="corners:square")
    install("curves", circle="curves:circle")
    with pytest.raises(
        RegistryError, match=r"unknown shape 'hexagon': expected one of circle \(curves 1.5\), square \(corners 1.5\)$"
    ):
        SHAPES.check("hexagon")


def test_nothing_installed_is_said():
    with pytest.raises(RegistryError, match=rf"\(no installed distribution has entry points in '{GROUP}'\)"):
        SHAPES.load("square")


def test_two_distributions_with_one_name_are_both_named(install):
    install("corners", square="corners:square")
    install("edges", square="edges:square")
    with pytest.raises(
        RegistryError, match=r"two distributions have a shape 'square': (edges|corners) 1.5 \("
    ) as error:
        SHAPES.load("square")
    assert "edges 1.5 (edges:square)" in str(error.value) and "corners 1.5 (corners:square)" in str(error.value)


def test_a_target_that_cannot_be_imported_names_its_distribution(install):
    install("curves", circle="curves:circle", arc="no_such_module:arc")
    with pytest.raises(RegistryError, match=r"shape 'circle' of curves 1.5 cannot be imported from curves:circle: "):
        SHAPES.load("circle")
    with pytest.raises(
        RegistryError, match=r"shape 'arc' of curves 1.5 cannot be imported from no_such_module:arc: No"
    ):
        SHAPES.load("arc")


def test_objects_given_by_hand_come_beside_what_is_installed(install):
    install("corners", square="corners:square")
    shapes = SHAPES.plus({"line": 2})
    assert shapes.names == ("line", "square")
    assert (shapes.load("line"), shapes.load("square")) == (2, 4)
    assert SHAPES.names == ("square",)
    assert Registry("shape", "", {"line": 2}).names == ("line",)

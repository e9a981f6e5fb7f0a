"""Parameters of a lifecycle node: what may be set when, and what a parameter file may name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from substep_core.ros.lifecycle_node import GraphNode


class Walker(GraphNode):
    def __init__(self, **node_options) -> None:
        super().__init__("walker", **node_options)
        self.parameters.declare("gait", "trot", "how it goes", choices=("trot", "amble"))
        self.parameters.declare("step_length", 0.5, "m", bounds=(0.1, 1.0))
        self.parameters.declare("legs", 4, "how many it has", read_only=True)


@pytest.fixture(autouse=True)
def ros() -> Iterator[None]:
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture
def walker() -> Iterator[Walker]:
    node = Walker()
    yield node
    node.destroy_node()


def refusal(node: GraphNode, name: str, value: object) -> str:
    """Why a parameter cannot be set; "" if it was."""
    (result,) = node.set_parameters([Parameter(name, value=value)])
    assert result.successful == (node.get_parameter(name).value == value)
    return result.reason


def test_a_value_that_is_no_choice_is_turned_down_at_once(walker):
    assert refusal(walker, "gait", "fly") == "parameter gait is 'fly', expected one of trot, amble"
    assert refusal(walker, "gait", "amble") == ""


def test_what_configure_has_read_cannot_be_set_until_the_node_is_cleaned_up(walker):
    assert refusal(walker, "step_length", 0.7) == ""
    for transition in (walker.trigger_configure, walker.trigger_activate, walker.trigger_deactivate):
        transition()
        assert "clean it up, set the parameter" in refusal(walker, "step_length", 0.9)
        assert "clean it up" in refusal(walker, "gait", "amble")
    walker.trigger_cleanup()
    assert refusal(walker, "step_length", 0.9) == ""


def test_what_is_read_when_the_node_starts_cannot_be_set_at_all(walker):
    assert "read-only" in refusal(walker, "legs", 2)


def test_what_rclpy_itself_acts_on_can_be_set_at_any_time(walker):
    walker.trigger_configure()
    assert refusal(walker, "use_sim_time", True) == ""


def complaint(monkeypatch, file: Path | None = None, **parameters: object) -> str:
    """Why a walker cannot be configured that was given a file or these parameters; "" if it can."""
    arguments = [] if file is None else ["--ros-args", "--params-file", str(file)]
    monkeypatch.setattr(sys, "argv", ["walker", *arguments])
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = Walker(cli_args=arguments, parameter_overrides=overrides)
    try:
        node.parameters.refuse_unknown()
    except ValueError as error:
        assert node.trigger_configure() is TransitionCallbackReturn.FAILURE
        return str(error)
    finally:
        node.destroy_node()
    return ""


def test_a_misspelt_name_fails_configure_with_the_nearest_right_one(monkeypatch):
    wrong = complaint(monkeypatch, step_lenght=0.2)
    assert wrong == "node walker has no parameter step_lenght: did you mean step_length?"
    assert complaint(monkeypatch, colour="red") == "node walker has no parameter colour: it has gait, step_length, legs"
    assert complaint(monkeypatch, step_length=0.2, use_sim_time=True) == ""


def test_what_only_some_of_its_kind_know_is_no_fault():
    node = Walker(parameter_overrides=[Parameter("wings", value=2)])
    node.parameters.tolerate(["wings"])
    node.parameters.refuse_unknown()
    node.destroy_node()


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("/walker", "step_lenght", "did you mean step_length?"),
        ("/**/walker", "colour", "has no parameter colour"),
        ("/**", "step_lenght", "did you mean step_length?"),
        ("/**", "colour", ""),  # another node's, perhaps
        ("/**", "step_length", ""),
    ],
)
def test_a_file_may_tell_all_nodes_what_only_some_of_them_know(monkeypatch, tmp_path, pattern, name, expected):
    file = tmp_path / "parameters.yaml"
    file.write_text(f"{pattern}: {{ros__parameters: {{{name}: 0.2}}}}")
    said = complaint(monkeypatch, file)
    assert expected in said and bool(said) == bool(expected)

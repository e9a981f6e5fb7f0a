"""Parameters of a lifecycle node: declared with descriptors and ranges, a bad value fails configure and names itself.

rclpy raises from ``declare_parameter`` when an override has the wrong type or lies outside the range, which would end
the process before anybody could ask it what is wrong. Here the default takes the place of such a value and the fault
is remembered until configure, which refuses; setting the parameter to a good value in the meantime clears it.

What a node reads in configure cannot be set while it is configured: ROS would say that it succeeded, without effect.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_dict_from_yaml_file

from substep_core.yaml_mapping import read_mapping

WILDCARDS = ("*", "**")  # last part of a node's name in a parameter file


class BadParameter(ValueError):
    """A parameter that configure refuses; the message names it, its value and what would be right."""


class NodeParameters:
    """Declares parameters on a node and hands out their values.

    Args:
        read_only: the node reads all of them once, when it starts.
    """

    def __init__(self, node: Node, *, read_only: bool = False) -> None:
        self._node = node
        self._read_only = read_only
        self._choices: dict[str, tuple[str, ...]] = {}
        self._faults: dict[str, str] = {}
        self._optional: frozenset[str] = frozenset()
        self._in_use = False
        node.add_on_set_parameters_callback(self._judge)
        node.add_post_set_parameters_callback(self._forget_faults)

    @property
    def node_name(self) -> str:
        """Fully qualified."""
        return self._node.get_fully_qualified_name()

    def declare(
        self,
        name: str,
        default: Any,
        description: str,
        *,
        bounds: tuple[float, float] | None = None,
        choices: Sequence[str] = (),
        read_only: bool = False,
    ) -> None:
        """Declare one parameter.

        Args:
            description: what it does, with its unit.
            bounds: smallest and largest allowed value of a number; integers where ``default`` is one.
            choices: allowed values of a string.
            read_only: it is read once, when the node starts.
        """
        descriptor = _descriptor(default, description, bounds, choices, read_only or self._read_only)
        self._choices[name] = tuple(choices)
        try:
            self._node.declare_parameter(name, default, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            self._node.declare_parameter(name, default, descriptor, ignore_override=True)
            expected = f"from {bounds[0]} to {bounds[1]}" if bounds else f"like {default!r}"
            if choices:
                expected = f"one of {', '.join(choices)}"
            self._faults[name] = f"parameter {name} must be {expected}: {description}. {error}"

    def value(self, name: str) -> Any:
        """The value of a declared parameter.

        Raises:
            BadParameter: it was given a value of the wrong type, outside its range, or not among its choices.
        """
        if name in self._faults:
            raise BadParameter(self._faults[name])
        return self._node.get_parameter(name).value

    def tolerate(self, names: Iterable[str]) -> None:
        """Values for these are no fault, whether the node has such parameters or not."""
        self._optional = frozenset(names)

    def refuse_unknown(self) -> None:
        """Call when everything is declared. ROS passes over a name that a node does not have without a word.

        What a file says to all nodes (``/**``) need not be known by each of them, unless it looks misspelt.

        Raises:
            BadParameter: a value was given to a parameter that the node does not have.
        """
        shared = _shared_names(sys.argv)
        for name in self._node._parameter_overrides:
            if self._node.has_parameter(name) or name in self._optional:
                continue
            nearest = difflib.get_close_matches(name, self._choices, n=1, cutoff=0.85 if name in shared else 0.6)
            if nearest or name not in shared:
                meant = f"did you mean {nearest[0]}?" if nearest else f"it has {', '.join(self._choices)}"
                raise BadParameter(f"node {self._node.get_name()} has no parameter {name}: {meant}")

    def in_use(self, is_in_use: bool) -> None:
        """Whether the node has read its parameters and goes by them, so that none can be set."""
        self._in_use = is_in_use

    def _judge(self, parameters: list[Parameter]) -> SetParametersResult:
        """Also asked by rclpy about the first value, as the parameter is declared."""
        for name, value in ((item.name, item.value) for item in parameters if item.name in self._choices):
            if self._choices[name] and value not in self._choices[name]:
                return _refusal(f"parameter {name} is {value!r}, expected one of {', '.join(self._choices[name])}")
            if self._in_use:
                return _refusal(
                    f"node {self._node.get_name()} has read parameter {name} in configure: deactivate the node and "
                    "clean it up, set the parameter, then configure and activate again"
                )
        return SetParametersResult(successful=True)

    def _forget_faults(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            self._faults.pop(parameter.name, None)


def _refusal(reason: str) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=reason)


def _shared_names(arguments: Sequence[str]) -> set[str]:
    """Names that the parameter files on a command line set for every node."""
    names: set[str] = set()
    for option, file in pairwise(arguments):
        if option == "--params-file":
            sections = read_mapping(Path(file), "node names")
            shared = [pattern for pattern in sections if pattern.rsplit("/", 1)[-1] in WILDCARDS]
            if shared:
                names.update(parameter_dict_from_yaml_file(file, target_nodes=shared))
    return names


def _descriptor(
    default: Any, description: str, bounds: tuple[float, float] | None, choices: Sequence[str], read_only: bool
) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=description, read_only=read_only)
    if choices:
        descriptor.additional_constraints = "one of " + ", ".join(choices)
    if bounds is not None and isinstance(default, int):
        descriptor.integer_range = [IntegerRange(from_value=int(bounds[0]), to_value=int(bounds[1]))]
    elif bounds is not None:
        limits = FloatingPointRange(from_value=float(bounds[0]), to_value=float(bounds[1]))
        descriptor.floating_point_range = [limits]
    return descriptor

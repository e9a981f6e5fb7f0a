"""Parameters of a lifecycle node: declared with descriptors and ranges, a bad value fails configure and names itself.

rclpy raises from ``declare_parameter`` when an override has the wrong type or lies outside the range, which would end
the process before anybody could ask it what is wrong. Here the default takes the place of such a value and the fault
is remembered until configure, which refuses; setting the parameter to a good value in the meantime clears it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter


class BadParameter(ValueError):
    """A parameter that configure refuses; the message names it, its value and what would be right."""


class NodeParameters:
    """Declares parameters on a node and hands out their values."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._choices: dict[str, tuple[str, ...]] = {}
        self._faults: dict[str, str] = {}
        node.add_post_set_parameters_callback(self._forget_faults)

    def declare(
        self,
        name: str,
        default: Any,
        description: str,
        *,
        bounds: tuple[float, float] | None = None,
        choices: Sequence[str] = (),
    ) -> None:
        """Declare one parameter.

        Args:
            description: what it does, with its unit.
            bounds: smallest and largest allowed value of a number; integers where ``default`` is one.
            choices: allowed values of a string.
        """
        descriptor = _descriptor(default, description, bounds, choices)
        self._choices[name] = tuple(choices)
        try:
            self._node.declare_parameter(name, default, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            self._node.declare_parameter(name, default, descriptor, ignore_override=True)
            expected = f"from {bounds[0]} to {bounds[1]}" if bounds else f"like {default!r}"
            self._faults[name] = f"parameter {name} must be {expected}: {description}. {error}"

    def value(self, name: str) -> Any:
        """The value of a declared parameter.

        Raises:
            BadParameter: it was given a value of the wrong type, outside its range, or not among its choices.
        """
        if name in self._faults:
            raise BadParameter(self._faults[name])
        value = self._node.get_parameter(name).value
        if self._choices[name] and value not in self._choices[name]:
            raise BadParameter(f"parameter {name} is {value!r}, expected one of {', '.join(self._choices[name])}")
        return value

    def _forget_faults(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            self._faults.pop(parameter.name, None)


def _descriptor(
    default: Any, description: str, bounds: tuple[float, float] | None, choices: Sequence[str]
) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=description)
    if choices:
        descriptor.additional_constraints = "one of " + ", ".join(choices)
    if bounds is not None and isinstance(default, int):
        descriptor.integer_range = [IntegerRange(from_value=int(bounds[0]), to_value=int(bounds[1]))]
    elif bounds is not None:
        limits = FloatingPointRange(from_value=float(bounds[0]), to_value=float(bounds[1]))
        descriptor.floating_point_range = [limits]
    return descriptor

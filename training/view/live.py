"""Node ``viewer``: hears a running graph, and shows what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rclpy.node import Node
from std_msgs.msg import String

from substep_core.contract import RobotContract, contract_from_text
from substep_core.ros import topics
from substep_core.ros.topics import Topic
from training.view.drawing import Drawing
from training.view.entries import Entry

KEPT = 100  # messages of a topic that wait for this node


class ViewerNode(Node):
    """Draws everything that a graph says, from the moment at which its robot contract is known.

    Args:
        begin: called with the contract, once; -> what is shown goes there.
        node_options: handed to ``rclpy.node.Node``.
    """

    def __init__(self, begin: Callable[[RobotContract], Callable[[Iterable[Entry]], None]], **node_options) -> None:
        super().__init__("viewer", **node_options)
        self._begin = begin
        self._drawing: Drawing | None = None
        topics.ROBOT_CONTRACT.subscription(self, self._on_contract)

    def _on_contract(self, message: String) -> None:
        robot = contract_from_text(message.data, topics.ROBOT_CONTRACT.name)
        if self._drawing is not None:
            if robot != self._drawing.robot:
                self.get_logger().warning("another robot has taken the place of the one that is shown: start anew")
            return
        self._drawing, self._show = Drawing(robot), self._begin(robot)
        for topic in self._drawing.topics:
            self._listen(topic)

    def _listen(self, topic: Topic) -> None:
        heard = topic.with_depth(max(topic.depth, KEPT))
        heard.subscription(self, lambda message: self._show(self._drawing.hear(topic, message)))

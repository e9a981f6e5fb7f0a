"""The topics that a bag of a run holds, and their quality of service as bags write it."""

from __future__ import annotations

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from substep_core.contract import JointSource, PoseSource, RobotContract
from substep_core.ros import topics
from substep_core.ros.observation_messages import state_topics
from substep_core.ros.topics import Topic

FOREVER = QosTime(9223372036, 854775807)  # as ROS writes that there is no such limit
OF_A_CAMERA = "<camera>"


def graph_topics() -> tuple[Topic, ...]:
    """Topics of every graph, the feedback of tasks included."""
    fixed = (topic for topic in topics.TOPICS if OF_A_CAMERA not in topic.name)
    return (*fixed, topics.EXECUTE_TASK.feedback)


def robot_topics(robot: RobotContract) -> tuple[Topic, ...]:
    """Topics that its contract names beside those of every graph."""
    cameras = [kind(name) for name in robot.camera_names for kind in (topics.camera_image, topics.camera_info)]
    states = (*state_topics(robot, PoseSource), *state_topics(robot, JointSource))
    known = {topic.name for topic in graph_topics()}
    return tuple(topic for topic in (*cameras, *states) if topic.name not in known)


def camera_topics(robot: RobotContract) -> frozenset[str]:
    """Names of those that carry images."""
    return frozenset(topics.camera_image(name).name for name in robot.camera_names)


def offered_qos(topic: Topic) -> Qos:
    """As its publishers offer it."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=topic.depth,
        reliability=QosReliability.RELIABLE if topic.reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if topic.latched else QosDurability.VOLATILE,
        deadline=FOREVER,
        lifespan=FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=FOREVER,
        avoid_ros_namespace_conventions=False,
    )

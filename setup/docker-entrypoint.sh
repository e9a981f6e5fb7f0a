#!/usr/bin/env bash
# Runs the container's command with ROS 2 and the workspace sourced.
set -e
. "/opt/ros/$ROS_DISTRO/setup.bash"
. /opt/substep/ros2_ws/install/local_setup.bash
exec "$@"

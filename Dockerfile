# substep on the official ROS 2 Jazzy image. Models use the GPU when the container is run with --gpus all:
#   docker build -t substep . && docker run --gpus all substep ros2 launch substep_bringup sim.launch.py
FROM ros:jazzy-ros-base

ENV SUBSTEP_CACHE=/opt/substep-cache NVIDIA_DRIVER_CAPABILITIES=all
COPY . /opt/substep
WORKDIR /opt/substep
RUN . /opt/ros/jazzy/setup.sh && apt-get update && ./substep setup && rm -rf /var/lib/apt/lists/* /root/.cache

ENTRYPOINT ["/opt/substep/setup/docker-entrypoint.sh"]
CMD ["ros2", "launch", "substep_bringup", "sim.launch.py"]

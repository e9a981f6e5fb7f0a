# substep on the official ROS 2 images. ROS_DISTRO: jazzy (Ubuntu 24.04) or lyrical (Ubuntu 26.04).
#   docker build -t substep --build-arg ROS_DISTRO=jazzy .
#   mkdir -p runs && docker run --rm --gpus all -v "$PWD/runs:/runs" substep
# Two graphs at a time (eval --through graph with workers) need more than a container's 64 MB of shared memory:
# --shm-size 512m. The container's user is number 1000; the folder on /runs, where results go, must be writable to it. Without --gpus all
# models run on the CPU. With it the host needs NVIDIA's driver 580 or newer, as CUDA 13 does, and its container toolkit.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

ENV SUBSTEP_CACHE=/opt/substep-cache NVIDIA_DRIVER_CAPABILITIES=all
WORKDIR /opt/substep

# What the Python packages (4 GB) depend on, and nothing else: they are downloaded again only when these change.
COPY substep ./
COPY setup setup
COPY requirements requirements
COPY substep_cli/table.py substep_cli/
RUN . "/opt/ros/$ROS_DISTRO/setup.sh" && ./substep setup packages && rm -rf /var/lib/apt/lists/* /root/.cache

COPY . .
RUN . "/opt/ros/$ROS_DISTRO/setup.sh" && ./substep setup \
    && mkdir /runs && chown ubuntu /runs "$SUBSTEP_CACHE"   # scenes are made in the cache when they are first used

USER ubuntu
VOLUME /runs
# launch is process 1: it heeds SIGINT and ends in order (`docker stop -t 60` leaves time to finish the video)
STOPSIGNAL SIGINT
ENTRYPOINT ["/opt/substep/setup/docker-entrypoint.sh"]
CMD ["ros2", "launch", "--noninteractive", "substep_bringup", "sim.launch.py", "runs:=/runs"]

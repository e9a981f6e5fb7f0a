from setuptools import find_packages, setup

package_name = "arm_bridge"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["robots/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="The substep authors",
    maintainer_email="maintainers@substep.dev",
    description="Any arm with ROS drivers behind the bridge: observations, limited commands, safety states.",
    license="Apache-2.0",
    extras_require={"test": ["pytest"]},  # what colcon test goes by
    entry_points={
        "substep.worlds": ["arm = arm_bridge.world:ArmWorlds"],
        "substep.robots": [
            "standin = arm_bridge.robots:STANDIN",
            "franka_fr3 = arm_bridge.robots:FRANKA_FR3",
            "ur5e = arm_bridge.robots:UR5E",
            "so101 = arm_bridge.robots:SO101",
        ],
        "substep.arms": [
            "standin = arm_bridge.robots:STANDIN_ARM",
            "franka_fr3 = arm_bridge.robots:FRANKA_FR3_ARM",
            "ur5e = arm_bridge.robots:UR5E_ARM",
            "so101 = arm_bridge.robots:SO101_ARM",
        ],
        "substep.arm_adapters": [
            "cartesian_rate = arm_bridge.adapters.cartesian:CartesianRate",
            "cartesian_pose = arm_bridge.adapters.cartesian:CartesianPose",
            "joint_trajectory = arm_bridge.adapters.joints:JointTrajectoryTopic",
            "joint_trajectory_chunks = arm_bridge.adapters.joints:JointTrajectoryChunks",
            "follow_joint_trajectory = arm_bridge.adapters.joints:JointTrajectoryGoals",
            "joint_velocity = arm_bridge.adapters.joints:JointVelocity",
        ],
        "substep.gripper_adapters": [
            "finger_trajectory = arm_bridge.adapters.grippers:FingerTrajectory",
            "parallel_gripper = arm_bridge.adapters.grippers:ParallelGripper",
            "gripper_command = arm_bridge.adapters.grippers:WidthGripper",
        ],
    },
)

from setuptools import find_packages, setup

package_name = "libero_bridge"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="The substep authors",
    maintainer_email="maintainers@substep.dev",
    description="LIBERO as camera and joint topics: simulated world, action queue, safety guard.",
    license="Apache-2.0",
    extras_require={"test": ["pytest"]},  # what colcon test goes by
    entry_points={
        "substep.worlds": ["libero = libero_bridge.world:LiberoWorlds"],
        "substep.world_names": ["libero = libero_bridge.names:check_names"],
        "substep.task_sources": [
            "libero = libero_bridge.tasks:create",
            "bddl = libero_bridge.bddl_folder:create",
            "libero_pro = libero_bridge.pro.source:create",
            "libero_plus = libero_bridge.plus.source:create",
            "libero_plus_published_prompt = libero_bridge.plus.source:create_published_prompt",
            "libero_plus_true_joints = libero_bridge.plus.source:create_true_joints",
        ],
    },
)

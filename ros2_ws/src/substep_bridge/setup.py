from setuptools import find_packages, setup

PACKAGE = "substep_bridge"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Plays chunks on any world: request, queue, guard, clocks, reports.",
    maintainer="The substep authors",
    maintainer_email="maintainers@substep.dev",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    extras_require={"test": ["pytest"]},  # what colcon test goes by
    entry_points={
        "console_scripts": ["bridge_node = substep_bridge.main:main"],
        "substep.joining_rules": [
            "in_turn = substep_bridge.joining:in_turn",
            "replace = substep_bridge.joining:replace",
            "ensemble = substep_bridge.joining:ensemble",
            "blend = substep_bridge.joining:blend",
            "real_time_chunking = substep_bridge.joining:real_time_chunking",
        ],
    },
)

from setuptools import find_packages, setup

PACKAGE = "substep_bags"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Bags of a run: recorded, repaired, read and played back.",
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
        "console_scripts": [
            "player_node = substep_bags.main:player",
            "recorder_node = substep_bags.main:recorder",
        ]
    },
)

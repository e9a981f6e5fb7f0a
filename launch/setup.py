from glob import glob

from setuptools import find_packages, setup

package_name = "substep_bringup"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(include=[package_name, f"{package_name}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        (f"share/{package_name}/launch", glob("launch/*.launch.py")),
        (f"share/{package_name}/params", glob("params/*.yaml")),
        (f"share/{package_name}/dds", glob("dds/*.xml")),
        (f"share/{package_name}/rviz", glob("rviz/*.rviz")),
        (f"share/{package_name}/foxglove", glob("foxglove/*.json")),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # what colcon test goes by
    zip_safe=False,
    maintainer="The substep authors",
    maintainer_email="maintainers@substep.dev",
    description="The graph of planner, policy and bridge: described once, launched, supervised, run as one session.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "session = substep_bringup.session.main:main",
            "lifecycle_manager = substep_bringup.manager_main:main",
        ]
    },
)

from setuptools import find_packages, setup

package_name = "substep_standin"

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
    description="A stand-in robot: LIBERO's Panda behind a driver as vendors write them, with faults on command.",
    license="Apache-2.0",
    extras_require={"test": ["pytest"]},  # what colcon test goes by
    entry_points={"console_scripts": ["driver_node = substep_standin.main:main"]},
)

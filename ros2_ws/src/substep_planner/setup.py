from setuptools import find_packages, setup

PACKAGE = "substep_planner"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Splits a task into substeps, owns the active one and decides when it is done.",
    maintainer="The substep authors",
    maintainer_email="maintainers@substep.dev",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    package_data={PACKAGE: ["data/*.json", "data/*.md", "data/completion/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    tests_require=["pytest"],
    zip_safe=False,
    extras_require={"test": ["pytest"]},  # what colcon test goes by
    entry_points={"console_scripts": ["planner_node = substep_planner.planner_node:main"]},
)

from setuptools import find_packages, setup

PACKAGE = "substep_core"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Keys, chunks, observations, contracts, plans, language and messages that all share.",
    maintainer="The substep authors",
    maintainer_email="maintainers@substep.dev",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    package_data={PACKAGE: ["contract/robots/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    extras_require={"test": ["pytest"]},  # what colcon test goes by
    entry_points={"substep.robots": ["libero_panda = substep_core.contract.robots:libero_panda"]},
)

from setuptools import find_packages, setup

PACKAGE = "substep_demonstrator"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The scripted expert: a policy that reads the simulated world's ground truth.",
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
    entry_points={"substep.policies": ["demonstrator = substep_demonstrator:load"]},
)

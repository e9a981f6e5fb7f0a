from setuptools import find_packages, setup

setup(
    name="substep_policy",
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={"substep_policy": ["weights/**/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/substep_policy"]),
        ("share/substep_policy", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="The substep authors",
    maintainer_email="maintainers@substep.dev",
    description="Policies that drive an arm substep by substep, and the lifecycle node that serves one.",
    license="Apache-2.0",
    extras_require={"test": ["pytest"]},  # what colcon test goes by
    entry_points={"console_scripts": ["policy_node = substep_policy.policy_node:main"]},
)

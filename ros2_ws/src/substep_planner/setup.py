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
    package_data={PACKAGE: ["data/*.json", "data/*.md", "data/completion/*", "data/grounding/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    tests_require=["pytest"],
    zip_safe=False,
    extras_require={"test": ["pytest"]},  # what colcon test goes by
    entry_points={
        "console_scripts": ["planner_node = substep_planner.main:main"],
        "substep.decomposers": [
            "library = substep_planner.decomposers.library:create",
            "grounding = substep_planner.decomposers.grounding.decomposer:create",
            "rules = substep_planner.decomposers.rules:create",
            "policy = substep_planner.decomposers.own_words:create",
            "transformers = substep_planner.decomposers.language_model.decomposer:create_transformers",
            "openai = substep_planner.decomposers.language_model.decomposer:create_openai",
            "anthropic = substep_planner.decomposers.language_model.decomposer:create_anthropic",
            "whole_task = substep_planner.decomposers.whole_task:create",
        ],
        "substep.completion_scorers": [
            "compact = substep_planner.completion.compact_scorer:create",
            "policy = substep_planner.completion.own_words:create",
            "open_clip = substep_planner.completion.open_clip_encoder:create",
            "transformers = substep_planner.completion.transformers_encoder:create",
        ],
        "substep.switch_rules": [
            "eos = substep_planner.manager.switch_rules:EosSwitchRule",
            "vision = substep_planner.manager.switch_rules:VisionSwitchRule",
            "eos_then_vision = substep_planner.manager.switch_rules:EosThenVisionSwitchRule",
            "eos_unless_denied = substep_planner.manager.switch_rules:EosUnlessDeniedSwitchRule",
            "either = substep_planner.manager.switch_rules:EitherSwitchRule",
        ],
    },
)

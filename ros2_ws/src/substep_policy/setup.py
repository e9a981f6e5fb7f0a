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
    entry_points={
        "console_scripts": ["policy_node = substep_policy.main:main"],
        "substep.policies": ["compact = substep_policy.registry:COMPACT"],
        "substep.model_kinds": [
            "compact = substep_policy.models.compact.kind:KIND",
            "openvla = substep_policy.models.openvla.kind:KIND",
            "pi05 = substep_policy.models.pi05.kind:KIND",
        ],
        "substep.action_tokenizers": [
            "rfsq = substep_policy.action_tokenizers.kinds:RFSQ",
            "fast = substep_policy.action_tokenizers.kinds:FAST",
        ],
        "substep.guidances": [
            "gradient = substep_policy.heads.guidance:gradient",
            "identity = substep_policy.heads.guidance:identity",
        ],
        "substep.action_decoders": [
            "l1 = substep_policy.heads.l1:L1HeadConfig",
            "diffusion = substep_policy.heads.diffusion:DiffusionHeadConfig",
            "tokens = substep_policy.heads.discrete:TokenHeadConfig",
            "fast = substep_policy.heads.fast_tokens:FastTokensConfig",
            "rfsq_parallel = substep_policy.heads.residual_tokens.parallel:ParallelTokensConfig",
            "rfsq_coarse_to_fine = substep_policy.heads.residual_tokens.coarse_to_fine:CoarseToFineConfig",
            "in_sequence_diffusion = substep_policy.heads.in_sequence_diffusion:InSequenceDiffusionConfig",
        ],
    },
)

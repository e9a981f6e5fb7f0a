"""Names of the ways to store (quantization) and to run (execution) a large policy's network."""

from __future__ import annotations

import enum


class Quantization(enum.StrEnum):
    """What the linear layers of the backbone compute with. Heads, embeddings and norms stay as they are.

    In each the weights take half of bfloat16's memory. ``int8`` only stores them so; the other two also compute in
    eight bits, with activations scaled as they come.
    """

    NONE = "none"
    INT8 = "int8"
    INT8_DYNAMIC = "int8_dynamic"
    FP8_DYNAMIC = "fp8_dynamic"


class Execution(enum.StrEnum):
    EAGER = "eager"
    CUDA_GRAPH = "cuda_graph"
    COMPILED = "compiled"  # by torch.compile, and on a GPU in a CUDA graph besides

"""Runs a network's calls eagerly, as one CUDA graph, or compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from substep_policy.run_modes import Execution

Inputs = Mapping[str, Tensor]
Act = Callable[[Inputs], tuple[Tensor, Tensor]]

TEXT_MULTIPLE = 32  # prompts are padded to a multiple of it, so that few shapes are captured
WARM_UP_CALLS = 3


def executor(act: Act, execution: Execution, device: torch.device, pad_token: int) -> Act:
    """``act`` carried out that way. The first call with a new length of text is slow; the policy node makes one.

    Args:
        act: inputs with ``input_ids`` and ``attention_mask`` (B, L), such as ``SubstepModel.act``.
        pad_token: id that prompts are padded with.

    Raises:
        ValueError: the device cannot do it.
    """
    if execution is Execution.EAGER:
        return act
    if execution is Execution.CUDA_GRAPH and device.type != "cuda":
        raise ValueError(f"execution is {execution.value!r}, which needs a GPU, not {device}")
    if execution is Execution.COMPILED:
        mode = "max-autotune-no-cudagraphs" if device.type == "cuda" else None
        act = torch.compile(act, mode=mode, dynamic=False)
    if device.type == "cuda":
        act = CudaGraphs(act)
    return lambda inputs: act(pad_text(inputs, TEXT_MULTIPLE, pad_token))


def pad_text(inputs: Inputs, multiple: int, pad_token: int) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask`` (B, L) padded on the right to a multiple; the rest as it is."""
    missing = -inputs["input_ids"].shape[1] % multiple
    return {
        **inputs,
        "input_ids": functional.pad(inputs["input_ids"], (0, missing), value=pad_token),
        "attention_mask": functional.pad(inputs["attention_mask"], (0, missing), value=False),
    }


@dataclass(frozen=True)
class CapturedCall:
    """A graph with the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: dict[str, Tensor]
    outputs: tuple[Tensor, Tensor]


class CudaGraphs:
    """Replays ``act``; one graph for each set of input shapes, all in one pool of memory."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self._calls: dict[tuple[torch.Size, ...], CapturedCall] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        shapes = tuple(inputs[name].shape for name in sorted(inputs))
        if shapes not in self._calls:
            with torch.cuda.device(inputs["input_ids"].device):
                self._calls[shapes] = self._capture(inputs)
        call = self._calls[shapes]
        for name, tensor in call.inputs.items():
            tensor.copy_(inputs[name])
        call.graph.replay()
        actions, hidden = call.outputs
        return actions.clone(), hidden.clone()

    def _capture(self, inputs: Inputs) -> CapturedCall:
        """Compiling and the choice of kernels happen in the calls before the capture."""
        static = {name: tensor.clone() for name, tensor in inputs.items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                self._act(static)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = self._act(static)
        return CapturedCall(graph, static, outputs)

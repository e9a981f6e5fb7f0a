"""The compact model as a policy: from a checkpoint folder to chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from substep_policy.checkpoint import CONFIG_FILE, load_model
from substep_policy.chunk import Chunk
from substep_policy.chunk_decoder import ChunkDecoder
from substep_policy.configuration import parse
from substep_policy.instruction_tokens import TOKENIZER_FILE, InstructionTokenizer
from substep_policy.model import ModelConfig, SubstepModel
from substep_policy.normalization import Statistics, load_statistics
from substep_policy.observation import Observation
from substep_policy.preprocessing import Preprocessor
from substep_policy.run_modes import Execution, Quantization

if TYPE_CHECKING:
    from substep_policy.registry import PolicySettings


class CompactPolicy:
    """Implements ``substep_policy.policy.Policy``. The instruction is encoded once a substep."""

    requires_scene = False

    def __init__(
        self, name: str, model: SubstepModel, preprocessor: Preprocessor, decoder: ChunkDecoder, device: torch.device
    ) -> None:
        self.name = name
        self.device, self.dtype = str(device), "float32"
        self._model, self._preprocessor, self._decoder = model.to(device).eval(), preprocessor, decoder
        self._device = device
        self._text = None

    @torch.inference_mode()
    def start_substep(self, instruction: str, task: str) -> None:
        """Any text will do, the empty one too: what the model makes of it is its own affair."""
        ids, mask = self._preprocessor.text([instruction])
        self._text = self._model.backbone.encode_text(self._tensor(ids), self._tensor(mask))

    @torch.inference_mode()
    def predict(self, observation: Observation) -> Chunk:
        """One chunk. Raises: ValueError: a camera is missing, or no substep was started."""
        if self._text is None:
            raise ValueError("predict was called before start_substep: the policy has no instruction")
        images = self._tensor(self._preprocessor.images(observation.images)[None])
        proprio = self._tensor(self._preprocessor.proprio(observation.proprio)[None])
        hidden = self._model.backbone.act(images, self._model.proprio_projector(proprio), self._text)
        return self._decoder.decode(hidden)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def load(folder: Path, config: Mapping[str, Any], settings: PolicySettings) -> CompactPolicy:
    """The policy of a checkpoint folder, as ``substep_policy.registry`` calls it.

    Raises:
        CheckpointError: a file is missing or does not fit.
        ValueError: a setting the model cannot follow, a camera it needs that will not be there.
    """
    model_config: ModelConfig = parse(ModelConfig, config, str(folder / CONFIG_FILE))
    model_config = replace(model_config, eos=model_config.eos.at(settings.eos_threshold, folder))
    missing = set(model_config.preprocessing.cameras) - set(settings.cameras)
    if missing:
        raise ValueError(f"{folder} needs cameras {sorted(missing)}, and will be given {sorted(settings.cameras)}")
    if settings.dtype not in ("auto", "float32"):
        raise ValueError(f"dtype is {settings.dtype!r}; the compact model runs in float32")
    if settings.quantization is not Quantization.NONE or settings.execution is not Execution.EAGER:
        raise ValueError(
            f"quantization is {settings.quantization.value!r} and execution {settings.execution.value!r}; "
            "the compact model needs neither: 'none' and 'eager'"
        )
    _, model = load_model(folder)
    statistics = load_statistics(folder, settings.dataset)
    device = choose_device(settings.device)
    torch.manual_seed(settings.seed)
    return CompactPolicy(
        name=f"compact:{folder.name}",
        model=model,
        preprocessor=load_preprocessor(folder, model_config, statistics.proprio),
        decoder=ChunkDecoder.build(model, model_config, statistics.action),
        device=device,
    )


def load_preprocessor(folder: Path, config: ModelConfig, proprio_statistics: Statistics) -> Preprocessor:
    """The preprocessing a checkpoint was trained with. Raises: ValueError: its tokenizer does not fit the model."""
    tokenizer = InstructionTokenizer.load(folder / TOKENIZER_FILE, config.preprocessing.max_instruction_tokens)
    if tokenizer.vocabulary_size > config.backbone.vocabulary_size:
        raise ValueError(
            f"{folder / TOKENIZER_FILE} has {tokenizer.vocabulary_size} tokens, "
            f"the model knows {config.backbone.vocabulary_size}"
        )
    return Preprocessor(config.preprocessing, proprio_statistics, tokenizer)


def choose_device(device: str) -> torch.device:
    """ "auto" is a GPU where there is one. Raises: ValueError: a GPU was asked for that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {device!r}, but PyTorch finds no CUDA device: use 'cpu' or 'auto'")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device is {device!r}, but there are {torch.cuda.device_count()} CUDA devices")
    return chosen

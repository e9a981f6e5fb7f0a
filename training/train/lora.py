"""LoRA (Hu et al. 2021) by peft: adapters on the large backbone's linear layers, all frozen but FiLM layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from substep_policy.checkpoints.folder import check_fit, read_state, save_tensors
from substep_policy.models.openvla.adapter import ADAPTED, ADAPTER_FOLDER, ADAPTER_WEIGHTS, adapter_weights
from training.train.config import ALL_LINEAR, LoraSettings

# The output layer, which peft leaves out of "all-linear" for language models that stand alone, and FiLM layers, which
# are small and trained whole.
EXCLUDED = r"(.*\.)?(lm_head|vision_backbone\.film\..*)"


def lora_config(settings: LoraSettings, base: Path) -> LoraConfig:
    """peft's configuration.

    Args:
        base: where the adapted weights come from, a folder or a hub id: whoever merges finds them by it, wherever he
            starts from, so a folder is kept as an absolute path.
    """
    everything = settings.target_modules == ALL_LINEAR
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=ALL_LINEAR if everything else list(settings.target_modules),
        exclude_modules=EXCLUDED if everything else None,
        init_lora_weights="gaussian",
        base_model_name_or_path=str(base.absolute() if base.is_dir() else base),
    )


def add_adapters(backbone: nn.Module, config: LoraConfig) -> None:
    """Put fresh adapters into ``backbone``, in place, and freeze the rest but for FiLM layers.

    They are float32 and change no output yet.

    Raises:
        ValueError: no layer has such a name.
    """
    # peft writes into the configuration that it is given.
    get_peft_model(backbone, dataclasses.replace(config, base_model_name_or_path=None))
    backbone.vision_backbone.film.float().requires_grad_(True)


def save_adapters(folder: Path, config: LoraConfig, state: Mapping[str, Tensor]) -> None:
    """Write ``lora_adapter`` into a checkpoint folder, as peft does; ``state`` is the adapted backbone's."""
    out = folder / ADAPTER_FOLDER
    out.mkdir()
    config.save_pretrained(str(out))
    save_tensors(
        {_stored(key): state[key].detach().cpu().contiguous() for key in state if _is_adapter(key)},
        out / ADAPTER_WEIGHTS,
    )


def load_adapters(backbone: nn.Module, folder: Path) -> None:
    """Fill the adapters in ``backbone`` from a checkpoint folder.

    Raises:
        CheckpointError: they are missing or do not fit; the message names the keys.
    """
    path = adapter_weights(folder)
    state, own = read_state(path), backbone.state_dict()
    names = {_stored(key): key for key in own if _is_adapter(key)}
    check_fit(state, {stored: own[key] for stored, key in names.items()}, f"{path} does not fit the adapters")
    backbone.load_state_dict({names[stored]: value for stored, value in state.items()}, strict=False)


def _is_adapter(key: str) -> bool:
    return ".lora_" in key


def _stored(key: str) -> str:
    """peft's files leave out the adapter's own name."""
    return ADAPTED + key.replace(".default.", ".")

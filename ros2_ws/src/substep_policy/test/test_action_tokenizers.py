"""Action tokenizers: what codes and tokens mean, and that a broken folder is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from substep_core.configuration import dump
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.action_tokenizers.fast import FastTokenizer, MalformedTokens
from substep_policy.action_tokenizers.folder import load_tokenizer
from substep_policy.action_tokenizers.residual_quantizer import ResidualQuantizer
from substep_policy.action_tokenizers.rfsq import RfsqConfig, RfsqNetwork, RfsqTokenizer
from substep_policy.action_tokenizers.space import ActionSpace
from substep_policy.action_tokenizers.vocabulary_place import VocabularyPlace
from substep_policy.checkpoints.folder import CheckpointError, save_tensors
from substep_policy.models.normalization import GripperConvention

C, A = 8, 7
SPACE = ActionSpace(
    robot=load_robot(LIBERO_PANDA),
    chunk_length=C,
    gripper=GripperConvention.CLOSE_IS_ONE,
    low=(-1.0,) * A,
    high=(1.0,) * A,
)
RFSQ = RfsqConfig(space=SPACE, network=RfsqNetwork(width=16))


def walks(count: int, seed: int = 0) -> np.ndarray:
    """(count, C, A) smooth chunks within ±1, the gripper open or closed."""
    random = np.random.default_rng(seed)
    chunks = np.cumsum(random.normal(0, 0.15, (count, C, A)), axis=1) + random.uniform(-0.4, 0.4, (count, 1, A))
    chunks[..., -1] = np.where(chunks[..., -1] > 0, 1, -1)
    return chunks.clip(-1, 1).astype(np.float32)


def write_rfsq(folder: Path) -> RfsqTokenizer:
    torch.manual_seed(0)
    tokenizer = RfsqTokenizer(RFSQ)
    (folder / "config.json").write_text(json.dumps(dump(RFSQ)))
    save_tensors(tokenizer.state_dict(), folder / "model.safetensors")
    return tokenizer


@pytest.fixture(scope="module")
def fast() -> FastTokenizer:
    return FastTokenizer.fit(walks(500), SPACE)


@pytest.mark.parametrize("levels", [2, 7])
def test_codes_are_the_digits_of_a_value_and_any_number_of_them_decodes(levels: int):
    quantizer, values = ResidualQuantizer(layers=8, levels=levels), torch.rand(1000, dtype=torch.float64) * 2 - 1
    codes = quantizer.encode(values)
    digits = torch.stack([((values + 1) / 2 * levels ** (k + 1)).floor() % levels for k in range(8)], dim=-1)
    assert torch.equal(codes, digits.long())
    for kept in range(1, 9):
        assert (quantizer.decode(codes[:, :kept]) - values).abs().max() <= float(levels) ** -kept
    assert torch.equal(quantizer.encode(quantizer.decode(codes)), codes)
    assert quantizer.encode(torch.tensor([-9.0, 9.0])).tolist() == [[0] * 8, [levels - 1] * 8]


def test_codes_that_are_none_are_refused():
    quantizer = ResidualQuantizer(layers=2, levels=7)
    for codes, text in ([[7, 0]], "codes are 0 to 7"), ([[0, -1]], "codes are -1 to 0"), ([[0] * 3], "3 layers"):
        with pytest.raises(ValueError, match=text):
            quantizer.decode(torch.tensor(codes))


def test_rfsq_decodes_from_codes_alone_in_another_process(tmp_path: Path):
    """No statistics of the sample are kept anywhere; the sizes are those of the configuration."""
    tokenizer = write_rfsq(tmp_path)
    with torch.no_grad():
        codes = tokenizer.encode(torch.from_numpy(walks(5)))
        expected = tokenizer.decode(codes)
    assert codes.shape == (5, C, 16, 8) and expected.shape == (5, C, A)
    torch.save(codes, tmp_path / "codes.pt")
    program = (
        "import sys, torch; from pathlib import Path; from substep_policy.action_tokenizers.folder import *;"
        "folder = Path(sys.argv[1]); codes = torch.load(folder / 'codes.pt')[3:4];"
        "torch.save(load_tokenizer(folder).decode(codes), folder / 'actions.pt')"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    torch.testing.assert_close(torch.load(tmp_path / "actions.pt"), expected[3:4], rtol=0, atol=1e-6)


def test_rfsq_is_causal_so_what_comes_after_a_cut_is_free():
    torch.manual_seed(0)
    tokenizer, chunks = RfsqTokenizer(RFSQ), torch.from_numpy(walks(4))
    changed = chunks.clone()
    changed[:, 5:] = 0.3
    with torch.no_grad():
        codes, others = tokenizer.encode(chunks), tokenizer.encode(changed)
        assert torch.equal(codes[:, :5], others[:, :5]) and not torch.equal(codes[:, 5], others[:, 5])
        torch.testing.assert_close(tokenizer.decode(codes)[:, :5], tokenizer.decode(others)[:, :5])


def test_rfsq_refuses_chunks_and_codes_of_another_shape():
    tokenizer = RfsqTokenizer(RFSQ)
    with pytest.raises(ValueError, match=r"\(2, 7, 7\), expected \(B, 8, 7\)"):
        tokenizer.encode(torch.zeros(2, 7, 7))
    with pytest.raises(ValueError, match=r"expected \(B, 8, 16, k\)"):
        tokenizer.decode(torch.zeros(2, 8, 15, 8, dtype=torch.int64))


def test_fast_gives_back_what_it_was_given_to_within_its_rounding(fast: FastTokenizer, tmp_path: Path):
    chunks = walks(50, seed=1)
    fast.save(tmp_path)
    again = load_tokenizer(tmp_path)
    encoded = fast.encode(chunks)
    decoded = np.stack([again.decode(ids) for ids in encoded])
    assert np.mean([len(ids) for ids in encoded]) < 0.6 * C * A, "shorter than a token a value"
    error = np.sqrt(np.square(decoded - chunks).mean())
    assert error < 1 / np.sqrt(12) / fast.config.scale * 1.1, "as of coefficients rounded to steps of 1 / scale"


def test_fast_clips_what_lies_outside_of_its_range_on_both_sides(fast: FastTokenizer):
    for sign in (-1, 1):
        chunk = np.full((1, C, A), sign * 5, np.float32)
        ids = fast.encode(chunk)[0]
        assert np.abs(fast.decode(ids)).max() < 5
    inside = walks(50)  # what it was fitted to
    assert fast.clipped(inside) == 0.0
    outside = np.concatenate([inside[:1], np.full((1, C, A), 5, np.float32)])
    assert fast.clipped(outside) == pytest.approx(A / (2 * C * A)), "a lowest frequency of each value, of two chunks"


def test_fast_tokens_that_are_no_chunk_are_an_error_and_no_chunk_of_zeros(fast: FastTokenizer):
    ids = fast.encode(walks(1))[0]
    for wrong, text in (
        (ids[:-1], "a chunk has 56"),
        ([*ids, ids[0]], "a chunk has 56"),
        ([], "0 tokens stand for 0"),
        ([*ids[:-1], fast.vocabulary_size], "are not all from 0"),
        ([-1, *ids[1:]], "are not all from 0"),
    ):
        with pytest.raises(MalformedTokens, match=text):
            fast.decode(wrong)


def test_what_is_allowed_leads_to_a_chunk_and_to_every_chunk(fast: FastTokenizer):
    random = np.random.default_rng(0)
    for _ in range(50):
        ids: list[int] = []
        while (allowed := fast.allowed(ids)).any():
            ids.append(int(random.choice(np.flatnonzero(allowed))))
        assert fast.decode(ids).shape == (C, A)
    wanted = fast.encode(walks(1))[0]
    assert all(fast.allowed(wanted[:place])[number] for place, number in enumerate(wanted))
    with pytest.raises(MalformedTokens, match="stand for 1 coefficients more than a chunk has"):
        fast.allowed([*wanted, int(fast.lengths.argmin())])  # a token of one coefficient


def test_fast_tokens_have_their_place_in_a_language_model():
    place = VocabularyPlace(vocabulary_size=257152)
    ids = [0, 5, 1023]
    assert place.to_language_model(ids) == [257023, 257018, 256000]
    assert place.from_language_model(place.to_language_model(ids)) == ids


def test_fast_says_what_does_not_fit_into_its_vocabulary():
    with pytest.raises(ValueError, match="vocabulary_size is 20: raise it, or lower scale, which is 100"):
        FastTokenizer.fit(walks(50), SPACE, scale=100, vocabulary_size=20)


BROKEN = {
    "no folder": lambda folder: [path.unlink() for path in folder.iterdir()] and folder.rmdir(),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "config is no JSON": lambda folder: (folder / "config.json").write_text("{"),
    "config is a list": lambda folder: (folder / "config.json").write_text("[]"),
    "unknown type": lambda folder: edit(folder, type="other"),
    "unknown key": lambda folder: edit(folder, colour="red"),
    "no weights": lambda folder: weights(folder).unlink(),
    "cut weights": lambda folder: weights(folder).write_bytes(weights(folder).read_bytes()[:100]),
}


def edit(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def weights(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.name in ("model.safetensors", "tokenizer.json"))


@pytest.mark.parametrize("kind", ["rfsq", "fast"])
@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_folder_is_refused_and_named(damage: str, kind: str, fast: FastTokenizer, tmp_path: Path):
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    write_rfsq(folder) if kind == "rfsq" else fast.save(folder)
    load_tokenizer(folder)
    BROKEN[damage](folder)
    with pytest.raises(ValueError) as caught:
        load_tokenizer(folder)
    assert str(folder) in str(caught.value)


def test_weights_and_vocabulary_of_another_size_are_refused(fast: FastTokenizer, tmp_path: Path):
    (tmp_path / "rfsq").mkdir(), (tmp_path / "fast").mkdir()
    write_rfsq(tmp_path / "rfsq")
    edit(tmp_path / "rfsq", network={**dump(RFSQ)["network"], "latents": 12})
    fast.save(tmp_path / "fast")
    edit(tmp_path / "fast", highest=fast.config.highest + 400)
    with pytest.raises(CheckpointError, match=r"does not fit RfsqTokenizer: .*has shape"):
        load_tokenizer(tmp_path / "rfsq")
    with pytest.raises(CheckpointError, match=r"tokenizer.json: there is no token for coefficient"):
        load_tokenizer(tmp_path / "fast")


def edit_vocabulary(folder: Path, change) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


PADDING = {"content": "<pad>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it["added_tokens"].append({"id": 300, "special": True, **PADDING}), "is '<pad>', expected coeff"),
        (lambda it: it.update(pre_tokenizer=BYTES), "it changes text before it reads it"),
        (lambda it: it.update(normalizer={"type": "Prepend", "prepend": chr(0x4E00)}), "it changes text before"),
        (lambda it: it["model"]["vocab"].update({it["model"]["merges"][-1][0] + "x": 900}), "expected coefficients"),
    ],
    ids=["special token", "byte level", "normalizer", "hole"],
)
def test_a_vocabulary_of_anything_but_coefficients_is_refused(change, message, fast: FastTokenizer, tmp_path: Path):
    """Else a token would decode to a motion that nobody meant, or be read as another one."""
    fast.save(tmp_path)
    edit_vocabulary(tmp_path, change)
    with pytest.raises(CheckpointError, match=f"tokenizer.json: .*{message}"):
        load_tokenizer(tmp_path)


def test_fast_is_fitted_to_chunks_alone():
    with pytest.raises(ValueError, match=r"are no finite \(N, 8, 7\)"):
        FastTokenizer.fit(np.full((2, C, A), np.nan), SPACE)
    with pytest.raises(ValueError, match=r"\(2, 8, 6\) are no finite \(N, 8, 7\)"):
        FastTokenizer.fit(np.zeros((2, C, A - 1)), SPACE)
    with pytest.raises(ValueError, match="there are none"):
        FastTokenizer.fit(np.zeros((0, C, A)), SPACE)


def test_a_rotation_that_is_all_but_none_is_decoded_as_none():
    def decoded(rest: float, actions: np.ndarray) -> np.ndarray:
        tokenizer = RfsqTokenizer(replace(RFSQ, rest=rest))
        tokenizer.actions = lambda latents: torch.from_numpy(actions)
        return tokenizer.decode(torch.zeros(1, C, 16, 8, dtype=torch.int64)).numpy()

    actions = np.full((1, C, A), 0.004, np.float32)
    actions[0, 1, 4] = -0.2  # one value of a rotation that is one
    expected = actions.copy()
    expected[0, [0, *range(2, C)], 3:6] = 0
    found = decoded(0.005, actions)
    assert np.array_equal(found, expected), "translation and gripper stay, and so does that rotation"
    commands = SPACE.normalizer.decode(found)
    assert np.all(commands[0, 0, 3:6] == 0) and np.all(commands[0, 1, 3:6] != 0)
    assert np.array_equal(decoded(0.0, actions), actions)

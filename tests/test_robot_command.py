"""``./substep robot …``, and how a wrong configuration is told wherever it is read."""

from __future__ import annotations

import pytest

from substep_cli.grammar import main
from substep_core.configuration import configuration, parse, told
from substep_core.contract import contract_from_text, contract_to_text, load_robot

ROBOT = load_robot("libero_panda")


@pytest.fixture
def file(tmp_path):
    def write(*changes: tuple[str, str]) -> str:
        text = contract_to_text(ROBOT)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_good_contract_is_told_by_its_vectors(file, capsys):
    assert main(["robot", "check", file()]) == 0
    printed = capsys.readouterr().out
    assert "libero_panda: 20 Hz, chunks of up to 64 actions" in printed
    assert "  camera eye_in_hand: wrist, 128 x 128" in printed
    assert "  state 6 to 7: fingers, gripper_position in m" in printed
    assert "  action 6 to 6: gripper, gripper" in printed


def test_every_mistake_is_a_line_without_the_librarys_words(file, capsys):
    wrong = file(("rate: 20.0", "rate: -1"), ("hold: last", "hold: zero"), ("unit: rad\n", "unit: m\n"))
    assert main(["robot", "check", wrong]) == 2
    first, *mistakes = capsys.readouterr().err.splitlines()
    assert first == f"substep robot check: {wrong} is no robot contract:"
    assert [line.split()[0] for line in mistakes] == ["rate", "state.1:", "action.2:"]
    assert "unit is 'm', expected 'rad'" in mistakes[1] and "hold 'zero' would" in mistakes[2]
    assert not any("Value error" in line or "{" in line for line in mistakes)


def test_what_is_no_contract_at_all_is_refused_with_2(tmp_path, capsys):
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")
    assert main(["robot", "check", str(path)]) == 2
    assert main(["robot", "check", "panad"]) == 2
    told = capsys.readouterr().err
    assert "unknown robot 'panad': expected one of " in told and "libero_panda (substep_core" in told


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name: \xff\n", "mine.yaml cannot be read: 'utf-8' codec can't decode byte 0xff"),
        (b"name: [a\nrate: 3\n", "mine.yaml is not YAML: line 2, column 5: expected ',' or ']', but got ':'"),
        (None, "mine' is a folder, expected a .yaml file or the name of a robot"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_the_file(content, words, tmp_path, capsys):
    path = tmp_path / ("mine.yaml" if content else "mine")
    if content:
        path.write_bytes(content)
    else:
        path.mkdir()
    assert main(["robot", "check", str(path)]) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1


def test_robots_are_listed_and_shown_as_published(capsys):
    assert main(["robot", "list"]) == 0
    assert "libero_panda (substep" in capsys.readouterr().out
    assert main(["robot", "show", "libero_panda"]) == 0
    assert contract_from_text(capsys.readouterr().out, "printed") == ROBOT


@configuration
class Settings:
    first: int
    second: int = 0

    def __post_init__(self) -> None:
        if self.second > self.first:
            raise ValueError(f"second {self.second} is beyond first {self.first}")


def test_a_line_names_a_few_problems_and_counts_the_others():
    data = {f"key{number}": 1 for number in range(9)}
    with pytest.raises(ValueError, match="mine.yaml: first is missing; key0 is not a known key; .*; and 5 more$"):
        parse(Settings, data, "mine.yaml")
    with pytest.raises(ValueError, match="^mine.yaml: second 2 is beyond first 1$"):
        parse(Settings, {"first": 1, "second": 2}, "mine.yaml")


def test_values_that_a_program_gives_are_refused_in_the_same_words():
    with pytest.raises(ValueError) as refused:
        Settings(1, 2)
    assert told(refused.value) == "second 2 is beyond first 1"

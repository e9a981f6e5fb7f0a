"""The table of what words mean, made from WordNet's files."""

from __future__ import annotations

import pytest

from substep_cli.grammar import main
from substep_planner.decomposers.grounding.meanings import Meanings, shipped_meanings
from training.planner.word_meanings import make_meanings

DATA = """\
  1 a licence
01 06 n 01 container 0 000 | any object that can be used to hold things
02 06 n 02 basket 0 handbasket 0 001 @ 01 n 0000 | a container that is usually woven; "she carried a basket"
03 06 n 01 hamper 0 001 @ 02 n 0000 | a basket usually with a cover
04 18 n 01 baker 0 000 | someone who bakes bread
"""
INDEX = """\
  1 a licence
baker n 1 0 1 0 04
basket n 1 1 @ 1 0 02
container n 1 0 1 0 01
hamper n 1 1 @ 1 0 03
"""


def test_the_command_makes_a_table_of_things_alone(tmp_path, capsys):
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "index.noun").write_text(INDEX)
    out = tmp_path / "meanings.tsv.xz"
    assert main(["train", "word-meanings", "--wordnet", str(tmp_path), "--out", str(out)]) == 0
    assert "3 names of things" in capsys.readouterr().out
    made = Meanings.load(out)
    assert not made.is_thing("baker") and made.is_thing("hamper")
    worths = [made.worth(word, ("basket",)) for word in ("handbasket", "container", "woven", "carried")]
    assert worths == sorted(worths, reverse=True) and worths[2] > 0 > worths[3]
    assert made.worth("hamper", ("basket",)) > 0, "what is a kind of it is another word for it"


def test_a_folder_without_wordnet_is_named(tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        make_meanings(tmp_path)


def test_what_ships_knows_what_is_not_the_same():
    shipped = shipped_meanings("en")
    assert len(shipped) > 20_000
    assert shipped.worth("dairy", ("butter",)) > 0 > shipped.worth("banana", ("orange juice",))

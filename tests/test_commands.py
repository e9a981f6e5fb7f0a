"""Every documented command is one: all ``./substep …`` lines of the documents are read by the real grammar."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import shlex
import subprocess
import sys
import types
import typing
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from substep_bridge.world import WORLDS
from substep_bringup import checked_config
from substep_cli.changes import read_changes
from substep_cli.grammar import UsageError, command_app, main, read
from substep_cli.table import COMMANDS, find, groups, listing
from training.train.config import read_config

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("ros2_ws/src/**/*.md")])
COMMENT = re.compile(r"\s#\s.*")
# What the documents leave for the reader to fill in.
PLACES = dict.fromkeys(("FOLDER-OR-HUB-ID", "$PWD/my_policy", "my_policy"), "organisation/model")


def commands(page: Path) -> list[str]:
    """The command lines of a page, in blocks and between backticks, from ``./substep`` on."""
    text = page.read_text(encoding="utf-8")
    lines = text.replace("\\\n", " ").splitlines()
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    indented = [line for line in lines if re.match(r" {4}\./substep ", line)]
    found = [text for text in inline if re.search(r"\./substep\s", text)]
    for block in [*("\n".join(block.splitlines()[1:-1]) for block in blocks), *indented]:
        found += statements(block)
    return [re.sub(r"\s+", " ", text[text.index("./substep") :]) for text in found]


def statements(block: str) -> list[str]:
    """The statements of a block of shell that call ``./substep``; a quoted word may go over several lines."""
    found, pending = [], ""
    for line in block.replace("\\\n", " ").splitlines():
        pending += COMMENT.sub("", line) + "\n"
        try:
            shlex.split(pending)
        except ValueError:
            continue
        found.append(pending)
        pending = ""
    return [text for text in found if "./substep " in text]


DOCUMENTED = [(page, line) for page in PAGES for line in commands(page)]


def arguments(line: str) -> list[str]:
    words = shlex.split(line)[1:]
    return [PLACES.get(word, word) for word in words if word != "…"]


@pytest.fixture
def filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which the documents' files and policies are there, and the world of the package that they make."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checked_config, "WORLDS", WORLDS.plus({"my_robot": object}))
    (tmp_path / "my_tasks" / "kitchen").mkdir(parents=True)
    task = "(define (problem kitchen) (:language put the cup on the tray))"
    (tmp_path / "my_tasks" / "kitchen" / "put_the_cup_on_the_tray.bddl").write_text(task)
    space = {"robot": "libero_panda", "chunk_length": 8, "gripper": "close_is_one", "low": [-1] * 7, "high": [1] * 7}
    tokenizer = tmp_path / "runs" / "action_tokenizer"
    tokenizer.mkdir(parents=True)
    (tokenizer / "config.json").write_text(json.dumps({"type": "rfsq", "space": space}))
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"/**/planner": {"ros__parameters": {"retries": 3}}}))


@pytest.mark.parametrize(("page", "line"), DOCUMENTED, ids=[f"{page.name}: {line}" for page, line in DOCUMENTED])
def test_a_documented_command_is_one(page: Path, line: str, filled_in: None):
    words = arguments(line)
    if "substep_cli" in words:  # as another program starts it
        words = words[words.index("substep_cli") + 1 :]
    command = find(words)
    if command is None:
        assert words[0] in groups() and len(words) == 1, f"{page}: {line}"
    elif command.target is not None and len(words) > len(command.words.split()):
        call = read(words)
        if command.words == "train policy" and (ROOT / call.positional[0]).is_file():
            read_config(ROOT / call.positional[0], read_changes(call.positional[1:]))


def test_every_command_stands_in_the_documents():
    shown = {command.words for _, line in DOCUMENTED if (command := find(arguments(line)))}
    assert {command.words for command in COMMANDS if command.target} <= shown


def test_the_page_of_commands_is_the_table():
    page = (ROOT / "docs" / "reference" / "command_line.md").read_text()
    rows = re.findall(r"^\| `\./substep (.+)` \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(command.words, command.help) for command in COMMANDS]


def kind_of(hint: object) -> object:
    """What an option takes, however it is restricted and whether or not it may be left out."""
    if typing.get_origin(hint) is typing.Annotated:
        return kind_of(typing.get_args(hint)[0])
    if typing.get_origin(hint) is typing.Literal:
        return type(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = {kind_of(item) for item in typing.get_args(hint) if item is not type(None)}
        return hint
    if inner := typing.get_args(hint):
        return typing.get_origin(hint), *map(kind_of, inner)
    return "a configuration" if dataclasses.is_dataclass(hint) else hint


def test_an_option_takes_the_same_in_every_command():
    found = defaultdict(lambda: defaultdict(list))
    for command in COMMANDS:
        if command.target is not None:
            app = command_app(command)
            for argument in app.assemble_argument_collection():
                for name in argument.names:
                    found[name.replace("--empty-", "--").replace("--no-", "--")][kind_of(argument.hint)].append(
                        command.words
                    )
    differing = {name: dict(kinds) for name, kinds in found.items() if name.startswith("--") and len(kinds) > 1}
    assert differing == {}
    others = {  # other spellings of --image-size, --batch-size, --joinings, --inference-time and --library
        *("--size", "--batch", "--rules", "--inference", "--plans")
    }
    assert others.isdisjoint(found)


def test_no_document_calls_a_module_by_its_path():
    for page in PAGES:
        assert not re.search(r"python -m (training|substep_(?!cli)|libero_bridge)", page.read_text()), page


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.target], ids=lambda c: c.words)
def test_every_command_has_help(command, capsys):
    assert main([*command.words.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"./substep {command.words}" in printed and "--no_" not in printed
    module, _, name = command.target.partition(":")
    assert getattr(importlib.import_module(module), name)


def test_the_listing_needs_nothing_but_python_and_names_every_command():
    table = [sys.executable, "-I", "-S", str(ROOT / "substep_cli" / "table.py")]
    done = subprocess.run(table, capture_output=True, text=True, check=True)
    assert done.stdout == listing() + "\n"
    assert all(f"  {command.words} " in done.stdout for command in COMMANDS)
    unknown = subprocess.run([*table, "simm"], capture_output=True, text=True)
    assert unknown.returncode == 2
    expected = "substep: unknown command 'simm': expected one of sim, real, stack, revise, eval, plan, data, "
    assert unknown.stderr.startswith(expected)


def test_help_imports_nothing_heavy():
    """But that of eval, sim, real and stack, whose configuration classes lie among what they configure."""
    heavy = ("sim", "real", "stack", "data record-robot")
    light = [command.words for command in COMMANDS if command.target and command.words not in heavy]
    code = f"""
import sys
from substep_cli.grammar import main
for words in {light}:
    assert main([*words.split(), "--help"]) == 0
    heavy = {{"torch", "transformers", "mujoco", "rclpy", "h5py", "cv2"}} & set(sys.modules)
    assert not heavy, f"{{words}} --help imports {{heavy}}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("plan x --bogus 3", "substep plan: Unknown option: --bogus. --help says which there are"),
        ("plan x --suit libero_10", "substep plan: Unknown option: --suit. Did you mean --suite?"),
        ("sim --out x", "substep sim: Unknown option: --out. What other commands call so is --runs here"),
        ("sim --runs my.yaml", "there can be no folder for a run in my.yaml: File exists"),
        ("sim --runs my.yaml/x", "there can be no folder for a run in my.yaml/x: Not a directory"),
        ("data", ""),
        ("data collect", "substep data collect: --out is missing; --help says what it is"),
        ("data collect --out", "substep data collect: --out has no value"),
        ("eval --out --policy compact", "--out has no value"),
        ("eval --out x --policy", "--policy has no value"),
        ("eval --out x --tasks", "--tasks has no value"),
        ("eval --out x --image-size 64", "--image-size has 1 of 2 values"),
        ("bag play", "BAG is missing"),
        ("plan pick up the bowl", "up the bowl is more than it takes"),
        ("data collect --out x --per-task none", "--per-task is 'none': Input should be a valid integer"),
        ("data collect --out x --per-task 0", "--per-task is '0': Input should be greater than or equal to 1"),
        ("data collect --out x --noise 3", "noise is 3.0, must be in [0, 1]"),
        ("data collect --out x --novice-fingerprint y", "Unknown option: --novice-fingerprint"),
        ("eval --out x --workers 0", "--workers"),
        ("eval --out x --completion.rate fast", "--completion.rate is 'fast': Input should be a valid number"),
        ("eval --out x --gripper-patience 5000", "--gripper-patience is '5000': Input should be less than or equal"),
        ("eval --out x --preset slow", '"quick", "full", "demonstrator", "paraphrases"'),
        ("checkpoint latency compact --execution fast", '"eager", "cuda_graph", "compiled"'),
        ("train policy c.yaml steps=3", "'steps=3' is no option: expected --KEY VALUE"),
        ("train policy c.yaml --steps", "--steps has no value"),
    ],
)
def test_a_wrong_line_is_refused_in_one_line_with_2(line: str, message: str, capsys, filled_in: None):
    code = main(line.split())
    error = capsys.readouterr().err
    assert message in error
    if message:
        assert code == 2 and error.count("\n") == 1, error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sim --policy my_tasks", "my_tasks is no checkpoint: it has no config.json"),
        ("stack --policy my_tasks", "my_tasks is no checkpoint: it has no config.json"),
        ("eval --out x --policy my_tasks", "my_tasks is no checkpoint: it has no config.json"),
        ("eval --out x --policy nobody", "unknown policy 'nobody': expected one of"),
        ("eval --out x --suites nothing", "unknown suite 'nothing'"),
        ("eval --out x --completion.scorer magic", "unknown completion scorer 'magic': expected one of compact"),
        ("eval --out x --world mars --through graph", "unknown world 'mars': expected one of"),
        ("eval --out x --cameras left", "no camera of robot libero_panda is called 'left'"),
        ("eval --out x --assets /nowhere", "assets '/nowhere' are not a LIBERO asset tree"),
        ("bag rerun nowhere --completion.scorer magic", "unknown completion scorer 'magic'"),
        ("stack --world mars", "unknown world 'mars': expected one of"),
        ("bag rerun nowhere --policy compact", "nowhere"),
        ("plan x --library nowhere", "substep plan: plan file nowhere cannot be read: No such file or directory"),
        ("bag play nowhere", "nowhere"),
        ("bag repair nowhere", "nowhere"),
        ("checkpoint latency nowhere", "unknown policy 'nowhere'"),
        ("checkpoint export nowhere --out x", "nowhere is no checkpoint of a training: it has no training_config.yaml"),
        ("checkpoint inspect my_tasks", "my_tasks is no checkpoint: it has no config.json"),
        ("checkpoint eos compact --demonstrations nowhere", "--demonstrations nowhere"),
        ("robot layout libero_panda --out no/where/a.rviz", "--out no/where/a.rviz: there is no folder no"),
        ("scenes export --out my.yaml", "--out my.yaml is a file, expected a folder"),
        ("data collect --out x --assets /nowhere", "assets '/nowhere' are not a LIBERO asset tree"),
        ("data rerender my_tasks --out x --assets /nowhere", "assets '/nowhere' are not a LIBERO asset tree"),
        ("scenes check --assets /nowhere", "assets '/nowhere' are not a LIBERO asset tree"),
        ("data label nowhere", "substep data label: nowhere is missing, expected a folder of demonstrations"),
        ("train policy nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_a_name_on_the_line_that_is_not_there_is_refused_with_2(line: str, message: str, capsys, filled_in: None):
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert message in error and "Errno" not in error
    assert "demo [" not in error  # no progress of what was never begun


@pytest.mark.parametrize("words", [["plan", ""], ["plan", " "], ["revise", ""]])
def test_a_sentence_without_words_is_refused_with_2(words: list[str], capsys):
    assert main(words) == 2
    assert "expected what" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["exec"], "exec needs a command: ./substep exec COMMAND"),
        (["install"], "install needs packages: ./substep install"),
        (["uninstall"], "uninstall needs names of packages"),
        (["colcon"], "colcon needs a command of its own"),
        (["test", "/nowhere"], "test: there is no /nowhere"),
        (
            ["test", "--durations=5", "tests/test_docs.py", "tests/test_nothing.py::test_one"],
            "no tests/test_nothing.py",
        ),
    ],
)
def test_the_script_says_what_its_own_commands_need(words: list[str], message: str):
    done = subprocess.run([ROOT / "substep", *words], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr


def test_what_is_read_is_what_was_typed():
    call = read(
        ["data", "collect", "--out", "x", "--tasks", "3", "4", "--novice", "compact", "--novice-chunks", "6", "26"]
    )
    settings = call.options["settings"]
    assert (settings.variation.novice, settings.variation.novice_chunks) == ("compact", (6, 26))
    assert call.options["tasks"] == (3, 4)
    with pytest.raises(UsageError, match="--per-task"):
        read(["data", "collect", "--out", "x", "--per-task", "3", "--per-task", "4"])

"""Every command of ``./substep``: its words, the function that carries it out, and one line of help.

Needs nothing but Python, so that ``./substep help`` and a mistyped command need no set-up:
``python substep_cli/table.py [WORD …]`` prints the table, or exits with 2 where the words begin no command;
``--help COMMAND`` prints the line of a command of the shell script.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        words: what is typed after ``./substep``.
        target: "module:function", imported when the command is used; None: the shell script ``substep`` does it.
        help: one line.
        resumes: when it is stopped, the same command goes on from there.
    """

    words: str
    target: str | None
    help: str
    resumes: bool = False


COMMANDS = (
    Command("sim", "substep_cli.sim:sim", "carry out a task in LIBERO through the ROS 2 graph"),
    Command("real", "substep_cli.real:real", "carry out a task on a robot, or on the stand-in for one"),
    Command("stack", "substep_cli.stack:stack", "bring bridge, policy and planner up and keep them up"),
    Command("revise", "substep_cli.revise:revise", 'change a running task in words: "no, the other mug"'),
    Command("eval", "substep_cli.evaluate:app", "measure a policy, with baselines and probes", resumes=True),
    Command("plan", "substep_cli.plan:plan", "print the plan for an instruction"),
    Command("data collect", "substep_cli.data:collect", "record demonstrations of the scripted expert", resumes=True),
    Command("data record-robot", "substep_cli.record_robot:record_robot", "keep what a policy does on a robot"),
    Command("data label", "substep_cli.data:label", "label the substeps of any demonstrations"),
    Command("data rerender", "substep_cli.data:rerender", "add frames and states to collected demonstrations"),
    Command("data export", "substep_cli.data:export", "write demonstrations in another format"),
    Command("data frames", "substep_cli.data:frames", "render the frames that the completion model is trained on"),
    Command("bag play", "substep_cli.bag:play", "publish what a bag has recorded"),
    Command("bag rerun", "substep_cli.bag:rerun", "ask a policy and a planner again what a bag has recorded"),
    Command("bag repair", "substep_cli.bag:repair", "make a bag readable whose recorder was killed"),
    Command("robot check", "substep_cli.robot:check", "read a robot contract, and say all that is wrong with it"),
    Command("robot list", "substep_cli.robot:list_robots", "name the installed robots"),
    Command("robot show", "substep_cli.robot:show", "print a robot contract with its defaults"),
    Command("robot layout", "substep_cli.robot:layout", "write a layout of RViz or Foxglove for a robot"),
    Command("view", "substep_cli.view:view", "look at a run, a bag or a running graph in Rerun's viewer"),
    Command("train policy", "substep_cli.train:policy", "fine-tune a policy, as a YAML file says", resumes=True),
    Command(
        "train completion", "substep_cli.train:completion", "train the model that tells done substeps", resumes=True
    ),
    Command("train planner", "substep_cli.train:planner", "train the planner's embedded language model"),
    Command("train word-meanings", "substep_cli.train:word_meanings", "make the planner's table of what words mean"),
    Command(
        "train action-tokenizer",
        "substep_cli.train:action_tokenizer",
        "fit a tokenizer of action chunks, and say what it loses",
        resumes=True,
    ),
    Command("checkpoint inspect", "substep_cli.checkpoint:inspect", "say what a checkpoint holds and whether it fits"),
    Command("checkpoint eos", "substep_cli.checkpoint:eos", "print the EOS probabilities along a demonstration"),
    Command("checkpoint words", "substep_cli.checkpoint:words", "say how often it names the right next substep"),
    Command("checkpoint calibrate", "substep_cli.checkpoint:calibrate", "choose the EOS threshold anew"),
    Command("checkpoint average", "substep_cli.checkpoint:average", "average the weights of several checkpoints"),
    Command("checkpoint export", "substep_cli.checkpoint:export", "make the folder of a policy from a checkpoint"),
    Command("checkpoint latency", "substep_cli.checkpoint:latency", "time a policy's chunk, and its memory"),
    Command("bench simulation", "substep_cli.bench:simulation", "time the simulated world beside LIBERO's own loop"),
    Command("bench graph", "substep_cli.bench:graph", "time the loop through ROS beside the same loop in one process"),
    Command("bench record", "substep_cli.bench:record", "time the loop with a recorder beside the loop without one"),
    Command("bench episodes", "substep_cli.bench:episodes", "count an evaluation's episodes per core-hour"),
    Command("bench robot", "substep_cli.bench:robot", "play on the stand-in robot, with late chunks", resumes=True),
    Command("bench real", "substep_cli.bench:real", "play on the stand-in robot through the graph", resumes=True),
    Command("bench pace", "substep_cli.bench:pace", "time the commands that leave for the stand-in robot"),
    Command("bench policy", "substep_cli.bench:policy", "time a network with random weights, every way to run it"),
    Command("bench arm", "substep_cli.bench:arm", "hold a real arm's commands against its limits, whatever is asked"),
    Command("bench joining", "substep_cli.bench:joining", "measure how chunks are joined where inference takes time"),
    Command("bench planner", "substep_cli.bench:planner", "time what the planner does with a frame"),
    Command("bench understanding", "substep_cli.bench:understanding", "count what people say and is planned right"),
    Command("bench training", "substep_cli.bench:training", "time a LoRA step of OpenVLA-OFT with random weights"),
    Command("bench speculative", "substep_cli.bench:speculative", "time speculative decoding of residual codes"),
    Command(
        "bench action-tokenizer",
        "substep_cli.bench:action_tokenizer",
        "replay demonstrations through an action tokenizer",
        resumes=True,
    ),
    Command("bench completion", "substep_cli.bench:completion", "measure completion scorers on held-out frames"),
    Command("scenes check", "substep_cli.scenes:check", "load and check every task of the scene pack"),
    Command("scenes export", "substep_cli.scenes:export", "write the embedded scene pack into a folder"),
    Command("test", None, "run all tests, or those that pytest is given"),
    Command("doctor", None, "say what this machine has, and what is missing"),
    Command("setup", None, "only set up; `setup packages`: all but the workspace"),
    Command("shell", None, "open a shell inside the environment"),
    Command("exec", None, "run one command inside the environment"),
    Command("install", None, "install packages of yours into the environment: paths, or -e and a path"),
    Command("uninstall", None, "take packages of yours out of the environment, by name"),
    Command("colcon", None, "run colcon inside ros2_ws: build, test, test-result"),
    Command("lock", None, "pin requirements/*.in anew"),
    Command("clean", None, "remove what was built in this checkout"),
    Command("help", None, "print this"),
)


def find(words: Sequence[str]) -> Command | None:
    """The command that a command line begins with; None where it begins with none."""
    return next(
        (command for command in COMMANDS if list(words[: len(command.words.split())]) == command.words.split()), None
    )


def groups() -> tuple[str, ...]:
    """First words that other words follow, such as "data"."""
    return tuple(dict.fromkeys(command.words.split()[0] for command in COMMANDS if " " in command.words))


def listing() -> str:
    """What ``./substep help`` prints."""
    lines = [f"  {command.words:<24}{command.help}" for command in COMMANDS]
    return "\n".join(["usage: ./substep COMMAND [options]        (each command has --help)", "", *lines])


def main(words: Sequence[str]) -> int:
    """Print the listing, or one command's line of it; for words that are no command, print one line and return 2."""
    if words and words[0] == "--help":
        print(f"usage: ./substep {words[1]}: {find(words[1:]).help}")
        return 0
    if not words:
        print(listing())
        return 0
    if find(words) is None and words[0] not in groups():
        known = ", ".join(dict.fromkeys(command.words.split()[0] for command in COMMANDS))
        print(f"substep: unknown command {words[0]!r}: expected one of {known}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `./substep help | head` ends without a word, as `ls | head` does
    sys.exit(main(sys.argv[1:]))

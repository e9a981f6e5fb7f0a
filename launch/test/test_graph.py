"""The graph's one description: what it accepts, and that every front end and every node agrees with it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import rclpy
import yaml
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from substep_bags.recorder_node import RecorderNode
from substep_bridge.node import BridgeNode
from substep_bridge.parameters import OF_SOME_WORLDS, ClockMode
from substep_bringup import sim
from substep_bringup.arguments import ArgumentError, config_from_texts, to_text
from substep_bringup.checked_config import CheckedGraphConfig
from substep_bringup.commands import ExecutableNotFound, find_executable, node_command
from substep_bringup.exit_codes import ExitCode
from substep_bringup.graph import NodeSpec, simulation_graph
from substep_bringup.graph_config import CLOCKS, GraphConfig, PolicyConfig, RealConfig
from substep_bringup.parameter_files import read_parameter_file
from substep_bringup.run_folder import RunFolder
from substep_bringup.session.session_node import SessionNode
from substep_cli.grammar import main
from substep_cli.question import answer_at_terminal
from substep_planner.node import PlannerNode
from substep_policy.node import PolicyNode
from substep_standin.settings import DRIVER
from tests import launch_stand_in
from tests.launch_stand_in import LAUNCH_FILES, load, start

PACKAGE = Path(__file__).parents[1]
DEFAULTS = PACKAGE / "params" / "simulation.yaml"
NODE_TYPES = {
    "recorder": RecorderNode,
    "bridge": BridgeNode,
    "policy": PolicyNode,
    "planner": PlannerNode,
    "session": SessionNode,
}


NODES = ("bridge", "policy", "planner")
MADE_OF_LAUNCH = ("substep_bringup.launching", "substep_bringup.one_task")


def graph_of(tmp_path: Path, **arguments):
    return simulation_graph(GraphConfig(**arguments), tmp_path, DEFAULTS)


@pytest.fixture
def ros():
    rclpy.init()
    yield
    rclpy.shutdown()


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


# --- arguments ---


def test_checking_arguments_imports_neither_a_simulator_nor_torch():
    code = (
        "import sys; from substep_bringup.checked_config import CheckedGraphConfig as C; C()\n"
        "sys.exit(bool({'mujoco', 'robosuite', 'libero', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"suite": "libero_11"}, "unknown suite 'libero_11': expected one of libero_spatial, libero_object"),
        ({"suite": "libero_goal", "task": 10}, "put the bowl on the stove"),
        ({"policy": "oracle"}, "unknown policy 'oracle': expected one of compact (substep_policy"),
        ({"clock": "sundial"}, "unknown clock 'sundial': expected one of lockstep, realtime"),
        ({"seed": -1}, "seed is -1, expected 0 to 2147483647"),
        ({"init_state": 50}, "init_state is 50, expected 0 to 49"),
        ({"init_state": -1}, "init_state is -1, expected 0 to 49"),
        ({"suite": "libero_goal", "task": -1}, "task -1 is not one of libero_goal, expected one of these"),
        ({"world": "mars"}, "unknown world 'mars': expected one of arm (arm_bridge"),
        ({"decomposers": ("magic",)}, "unknown decomposer 'magic': expected one of"),
        ({"cameras": ("left",)}, "'left'"),
        ({"assets": "/nowhere"}, "assets '/nowhere' are not a LIBERO asset tree"),
        ({"image_size": (8, 128)}, "image_size is 8, expected 16 to 2048"),
        ({"namespace": "my robot"}, "namespace is 'my robot'"),
        ({"cameras": ("agentview", "agentview")}, "expected different names"),
        ({"params_file": "/nowhere.yaml"}, "params_file: parameter file /nowhere.yaml cannot be read"),
    ],
)
def test_a_value_that_no_node_would_accept_is_refused_with_what_there_is(arguments, message):
    with pytest.raises(ArgumentError) as refusal:
        CheckedGraphConfig(**arguments)
    assert message in str(refusal.value)


@pytest.mark.parametrize("entry", dataclasses.fields(GraphConfig), ids=lambda entry: entry.name)
def test_defaults_survive_being_written_as_text(entry):
    config = config_from_texts(GraphConfig, {entry.name: to_text(entry.default)})
    assert getattr(config, entry.name) == entry.default


def test_the_policy_is_told_the_suite_or_the_data_set_that_was_chosen():
    told = GraphConfig(suite="libero_goal").parameters()["policy"]
    assert told["suite"] == "libero_goal" and "dataset" not in told
    assert GraphConfig(dataset="libero_10_no_noops").parameters()["policy"]["dataset"] == "libero_10_no_noops"
    with pytest.raises(ArgumentError, match="task_text has 1000000 characters, expected at most 2000"):
        GraphConfig(task_text="x" * 1_000_000)


def test_unknown_and_unreadable_arguments_name_themselves():
    with pytest.raises(ArgumentError, match="unknown argument 'sweet'"):
        config_from_texts(GraphConfig, {"sweet": "libero_10"})
    for text in ("three", "[", "1.5", "true"):
        with pytest.raises(ArgumentError, match="task is .*, expected a value such as '6'"):
            config_from_texts(GraphConfig, {"task": text})


@pytest.mark.parametrize("text", ["[64]", "[64, 64, 64]", "[a, b]", "64"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ArgumentError, match="image_size is"):
        config_from_texts(GraphConfig, {"image_size": text})


# --- both front ends ---


def test_the_command_line_takes_every_argument(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(sim, "run", lambda config, *options: asked.append((config, *options)) or 0)
    words = []
    for entry in dataclasses.fields(GraphConfig):
        flag = f"--{entry.name.replace('_', '-')}"
        if entry.default not in (None, ()):
            words += [flag] if entry.default is True else [] if entry.default is False else [flag, str(entry.default)]
    lists = ["--cameras", "eye_in_hand", "agentview", "--image-size", "32", "64", "--no-video", "--record"]
    assert main(["sim", *words, "--domain", "7", "--network", "open"]) == 0
    assert main(["sim", *lists]) == 0
    expected = CheckedGraphConfig(cameras=("eye_in_hand", "agentview"), image_size=(32, 64), video=False, record=True)
    assert asked == [
        (CheckedGraphConfig(), 7, "open", answer_at_terminal),
        (expected, None, "local", answer_at_terminal),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "99"], "put both moka pots on the stove"),
        (["--suites", "libero_10"], "Unknown option: --suites"),
        (["--task", "three"], '--task: unable to convert "three" into int'),
        (["--domain", "300"], "--domain"),
    ],
)
def test_the_command_line_refuses_with_exit_code_2(capsys, words, message):
    assert main(["sim", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def launch_files(monkeypatch) -> Callable[[str], ModuleType]:
    """Loads a launch file; launch is a stand-in that keeps what it is given."""
    for name, module in launch_stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in MADE_OF_LAUNCH:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr("substep_bringup.graph.default_parameter_file", lambda: DEFAULTS)
    yield lambda name: load(LAUNCH_FILES / f"{name}.launch.py")
    for name in MADE_OF_LAUNCH:
        sys.modules.pop(name, None)


def nodes_among(entities: list) -> dict:
    return {entity.name: entity for entity in entities if hasattr(entity, "executable")}


@pytest.mark.parametrize(
    ("file", "config", "told"),
    [
        ("sim", GraphConfig, {}),
        ("real", RealConfig, {"robot": "standin", "driver": DRIVER, "suite": "libero_object", "task": "3"}),
    ],
)
def test_the_launch_file_declares_every_argument_and_starts_the_same_graph(launch_files, tmp_path, file, config, told):
    launch_file = launch_files(file)
    *declared, _ = launch_file.generate_launch_description().given[0]
    texts = {entry.name: to_text(entry.default) for entry in dataclasses.fields(config)}
    assert {entry.given[0]: entry.default_value for entry in declared} == texts

    texts |= {"runs": str(tmp_path), "namespace": "left", **told}
    nodes = nodes_among(start(launch_file, texts))
    (folder,) = tmp_path.iterdir()
    graph = simulation_graph(config_from_texts(config, texts), folder, DEFAULTS)
    assert list(nodes) == [spec.name for spec in graph.everything]
    for spec in graph.everything:
        action = nodes[spec.name]
        of_graph = spec not in graph.drivers
        assert (action.package, action.executable) == (spec.package, spec.executable)
        assert action.namespace == ("/left" if of_graph else "/standin")
        assert action.parameters[:-1] == [str(DEFAULTS)] * of_graph, "a driver is told nothing of the graph's"
        assert read_parameter_file(Path(action.parameters[-1])) == {"/**": spec.parameters}
        assert action.additional_env == dict(graph.environment)


def test_under_launch_the_end_of_any_process_ends_everything_with_its_exit_code(launch_files, tmp_path):
    launch_files("sim")
    launch_file = sys.modules["substep_bringup.one_task"]
    folder = launch_file.RunFolder.create(tmp_path, {})
    running, ending = SimpleNamespace(is_shutdown=False), SimpleNamespace(is_shutdown=True)
    died, status = SimpleNamespace(returncode=-9), SimpleNamespace(code=0)
    watch = launch_file._node_watch("policy", folder, status)
    assert (watch(died, ending), status.code) == ([], 0)
    said, shutdown = watch(died, running)
    assert said.msg == shutdown.reason == folder.failure() == "node policy was ended by SIGKILL"
    assert status.code == ExitCode.NODE_DIED
    for code in ExitCode:
        status = SimpleNamespace(code=0)
        assert launch_file._session_watch([], status)(SimpleNamespace(returncode=int(code)), running)[-1].reason
        assert status.code == code
    interrupted = launch_file._session_watch(["bridge"], status)(SimpleNamespace(returncode=130), ending)
    assert interrupted[-1].event.process_matcher == "bridge"  # launch itself leaves that to the terminal


@pytest.mark.parametrize(
    ("texts", "message"),
    [({"task": "three"}, "task is 'three', expected a value such as '6'"), ({"runs": "/dev/null/x"}, "/dev/null")],
)
def test_under_launch_a_wrong_argument_ends_it_with_exit_code_2_and_says_why(launch_files, texts, message):
    ended = []
    launch_file = launch_files("sim")
    launching = sys.modules["substep_bringup.launching"]
    launching.ExitStatus = lambda: ended.append(SimpleNamespace(code=0)) or ended[-1]
    said, shutdown = start(launch_file, texts)
    assert message in said.msg and shutdown.reason == said.msg
    assert ended[0].code == ExitCode.BAD_ARGUMENTS


def test_launch_ends_with_the_code_that_it_was_told_and_leaves_no_parameters_behind(tmp_path):
    code = (
        "from tests.launch_stand_in import *; only_what_ros_brings()\n"
        "from substep_bringup.launching import ExitStatus; ExitStatus().code = 3\n"
        "node, manager = start(load(LAUNCH_FILES / 'policy.launch.py'), {})\n"
        "print(Path(node.parameters[-1]).exists(), Path(manager.parameters[-1]).exists())"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "True True\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_stack_can_be_recorded(launch_files):
    started = nodes_among(start(launch_files("stack"), {"record": "true"}))
    assert list(started) == ["recorder", "bridge", "policy", "planner", "lifecycle_manager"]
    parameters = read_parameter_file(Path(started["recorder"].parameters[-1]))["/**"]
    assert "bag" not in parameters and parameters["policy"] == "compact"


@pytest.mark.parametrize(
    ("file", "nodes"),
    [
        ("stack", ["bridge", "policy", "planner", "lifecycle_manager"]),
        ("bridge", ["bridge", "bridge_manager"]),
        ("policy", ["policy", "policy_manager"]),
        ("planner", ["planner", "planner_manager"]),
    ],
)
def test_the_files_for_standing_nodes_start_them_anew_and_have_them_managed(launch_files, file, nodes):
    started = nodes_among(start(launch_files(file), {"namespace": "left"}))
    assert list(started) == nodes
    assert all(node.respawn and node.namespace == "/left" for node in started.values())
    own = Path(list(started.values())[-1].parameters[-1])
    assert read_parameter_file(own)["/**"]["nodes"] == nodes[:-1]


def test_launch_files_need_nothing_but_what_ros_brings(tmp_path):
    """As with ``ros2 launch``, which is a program of the system's Python."""
    command = [sys.executable, "-m", "tests.launch_stand_in", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in LAUNCH_FILES.iterdir())
    assert done.stdout.split() == files and "sim.launch.py" in files


# --- nodes ---


def test_every_node_declares_what_the_graph_and_the_default_file_set(tmp_path, ros, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sections = {pattern.rsplit("/", 1)[-1]: values for pattern, values in read_parameter_file(DEFAULTS).items()}
    assert set(sections) == set(NODE_TYPES)
    for spec in graph_of(tmp_path, record=True).everything:
        overrides = [Parameter(name, value=value) for name, value in (sections[spec.name] | spec.parameters).items()]
        node = NODE_TYPES[spec.name](parameter_overrides=overrides)
        unknown = [override.name for override in overrides if not node.has_parameter(override.name)]
        changed = [name.name for name in overrides if node.get_parameter(name.name).value != name.value]
        node.destroy_node()
        assert (unknown, changed) == ([], []), spec.name


def test_a_player_is_told_what_its_launch_file_was(launch_files):
    given = {"bag": "runs/x/bag", "rate": "0.5", "loop": "true", "topics": "['/camera/*']"}
    (player,) = nodes_among(start(launch_files("replay"), given)).values()
    parameters = read_parameter_file(Path(player.parameters[-1]))["/**"]
    expected = {"bag": "runs/x/bag", "rate": 0.5, "start": 0.0, "loop": True, "topics": ["/camera/*"]}
    assert parameters == expected | {"use_sim_time": False}
    assert (player.package, player.executable) == ("substep_bags", "player_node")


def test_a_recorder_comes_up_before_all_others_and_its_end_ends_nothing(tmp_path):
    recorded, usual = graph_of(tmp_path, record=True), graph_of(tmp_path)
    assert [(spec.name, spec.vital) for spec in recorded.nodes[:2]] == [("recorder", False), ("bridge", True)]
    assert recorded.nodes[0].parameters["bag"] == str(tmp_path / "bag")
    told = json.loads(recorded.nodes[0].parameters["parameters"])
    assert (told["policy"]["policy"], told["policy"]["gripper_patience"], set(told)) == ("compact", 1, set(NODES))
    assert recorded.session.parameters["nodes"] == ["recorder", "bridge", "policy", "planner"]
    assert usual.session.parameters["nodes"] == [spec.name for spec in usual.nodes] == ["bridge", "policy", "planner"]


def test_a_policy_node_alone_loads_the_policy_of_a_run(ros):
    node = PolicyNode()
    policy = node.get_parameter("policy").value
    node.destroy_node()
    assert policy == GraphConfig().policy


def test_a_world_need_not_know_what_the_launch_files_set_for_every_world(tmp_path):
    (bridge,) = [
        spec for spec in graph_of(tmp_path, cameras=("a",), image_size=(32, 32)).nodes if spec.name == "bridge"
    ]
    assert set(bridge.parameters) - {"world", "clock", "use_sim_time"} == set(OF_SOME_WORLDS)


def test_clocks_are_those_of_the_bridge():
    assert set(CLOCKS) == {mode.value for mode in ClockMode}


def test_the_nodes_of_a_namespace_go_by_the_time_of_its_own_world(tmp_path):
    (planner,) = [spec for spec in graph_of(tmp_path, namespace="arm").nodes if spec.name == "planner"]
    context = rclpy.Context()
    rclpy.init(context=context)
    node = PlannerNode(context=context, cli_args=list(node_command(planner, Path("planner_node"), tmp_path)[1:]))
    other = rclpy.create_node("worlds", context=context)
    executor = SingleThreadedExecutor(context=context)
    for member in (node, other):
        executor.add_node(member)
    clocks = [
        (other.create_publisher(Clock, name, 1), Time(sec=sec)) for name, sec in (("/clock", 7), ("/arm/clock", 3))
    ]
    try:
        while node.now().sec == 0:
            for publisher, time in clocks:
                publisher.publish(Clock(clock=time))
            executor.spin_once(timeout_sec=0.1)
        assert node.now().sec == 3
    finally:
        executor.shutdown()
        node.destroy_node()
        other.destroy_node()
        rclpy.shutdown(context=context)


def test_a_namespace_moves_all_nodes(tmp_path):
    assert {spec.namespace for spec in graph_of(tmp_path, namespace="arm/left/").everything} == {"/arm/left"}
    assert {spec.namespace for spec in graph_of(tmp_path).everything} == {""}


# --- parameter files ---


def test_a_users_file_comes_after_the_defaults(tmp_path):
    path = write(tmp_path / "mine.yaml", "/**/planner: {ros__parameters: {retries: 3}}")
    assert PolicyConfig(params_file=path).user_file == Path(path)  # one file for several machines
    assert graph_of(tmp_path, params_file=path).session.parameter_files == (DEFAULTS, Path(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "/**/brigde: {ros__parameters: {seed: 1}}",
            "names node '/**/brigde': expected one of recorder, bridge,",
        ),
        ("/**/bridge: {ros__parameters: {suite: libero_90}}", "sets suite of node 'bridge'"),
        ("/**: {ros__parameters: {policy: x}}", "sets policy of node 'policy'"),
        ("/**/planner: {ros__parameters: {use_sim_time: false}}", "sets use_sim_time of node 'planner'"),
        ("/**/bridge: {seed: 1}", "must hold one key, 'ros__parameters'"),
        ("- bridge", "holds a list, expected node names"),
        ("bridge: [", "is not YAML"),
    ],
)
def test_a_users_file_that_would_be_ignored_or_overridden_is_refused(tmp_path, text, message):
    with pytest.raises(ArgumentError) as refusal:
        GraphConfig(params_file=write(tmp_path / "mine.yaml", text))
    assert message in str(refusal.value)


# --- commands ---


def test_a_nodes_parameters_keep_their_types_on_the_way(tmp_path):
    spec = NodeSpec("p", "e", "bridge", {"suite": "123", "task_index": 4, "cameras": ["a", "b"]}, namespace="/arm")
    command = node_command(spec, Path("/bin/bridge_node"), tmp_path)
    assert command[:4] == ("/bin/bridge_node", "--ros-args", "-r", "__node:=bridge")
    assert "__ns:=/arm" in command
    written = yaml.safe_load((tmp_path / "bridge.yaml").read_text())
    assert written == {"/**": {"ros__parameters": dict(spec.parameters)}}


def test_a_user_file_wins_over_the_defaults_and_arguments_win_over_both(tmp_path, ros):
    values = "{retries: 2, replans: 2, substep_timeout: 2}"
    default = write(tmp_path / "default.yaml", f"/**/planner: {{ros__parameters: {values}}}")
    user = write(tmp_path / "user.yaml", "/**: {ros__parameters: {retries: 3, replans: 3}}")
    spec = NodeSpec("p", "e", "planner", {"replans": 4}, (Path(default), Path(user)), namespace="/arm")
    command = node_command(spec, Path("planner_node"), tmp_path)
    node = PlannerNode(cli_args=list(command[1:]))
    values = [node.get_parameter(name).value for name in ("substep_timeout", "retries", "replans")]
    node.destroy_node()
    assert values == [2, 3, 4]


def test_what_is_not_built_says_how_to_build_it():
    with pytest.raises(ExecutableNotFound, match="'substep_nowhere' is not installed: build the workspace with"):
        find_executable("substep_nowhere", "node")


def test_a_place_where_no_run_can_be_kept_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"no folder for a run in {tmp_path / 'file'}: File exists"):
        RunFolder.create(tmp_path / "file", {})


def test_the_configuration_can_be_kept_as_json(tmp_path):

    folder = RunFolder.create(tmp_path, dataclasses.asdict(GraphConfig()))
    assert folder.config()["image_size"] is None
    assert RunFolder.create(tmp_path, {}).path != folder.path

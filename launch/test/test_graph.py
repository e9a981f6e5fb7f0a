"""The graph's one description: what it accepts, and that every front end and every node agrees with it."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import rclpy
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rclpy.parameter import Parameter

from libero_bridge.bridge_node import BridgeNode
from libero_bridge.bridge_parameters import ClockMode
from substep_bringup import sim
from substep_bringup.arguments import ArgumentError, arguments_of, config_from_texts, read_size, show_size
from substep_bringup.commands import ExecutableNotFound, find_executable, node_command
from substep_bringup.graph import CLOCKS, GraphConfig, NodeSpec, simulation_graph
from substep_bringup.parameter_files import read_parameter_file
from substep_bringup.session.session_node import SessionNode
from substep_planner.planner_node import PlannerNode
from substep_policy.policy_node import PolicyNode

PACKAGE = Path(__file__).parents[1]
DEFAULTS = PACKAGE / "params" / "simulation.yaml"
NODE_TYPES = {"bridge": BridgeNode, "policy": PolicyNode, "planner": PlannerNode, "session": SessionNode}


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"suite": "libero_11"}, "unknown suite 'libero_11': expected one of libero_spatial, libero_object"),
        ({"suite": "libero_goal", "task": 10}, "put the bowl on the stove"),
        ({"policy": "oracle"}, "unknown policy 'oracle': expected one of compact, demonstrator"),
        ({"clock": "sundial"}, "unknown clock 'sundial': expected one of lockstep, realtime"),
        ({"seed": -1}, "seed is -1, expected 0 to 2147483647"),
        ({"init_state": 50}, "init_state is 50, expected 0 to 49"),
        ({"image_size": (8, 128)}, "image_size is 8, expected 16 to 2048"),
        ({"namespace": "my robot"}, "namespace is 'my robot'"),
        ({"cameras": ("agentview", "agentview")}, "expected one or more different names"),
        ({"params_file": "/nowhere.yaml"}, "params_file: parameter file /nowhere.yaml cannot be read"),
    ],
)
def test_a_value_that_no_node_would_accept_is_refused_with_what_there_is(arguments, message):
    with pytest.raises(ArgumentError) as refusal:
        GraphConfig(**arguments)
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", [argument.name for argument in arguments_of(GraphConfig)])
def test_defaults_survive_being_written_as_text(name):
    (argument,) = (argument for argument in arguments_of(GraphConfig) if argument.name == name)
    assert getattr(config_from_texts(GraphConfig, {name: argument.default}), name) == getattr(GraphConfig(), name)


def test_unknown_and_unreadable_arguments_name_themselves():
    with pytest.raises(ArgumentError, match="unknown argument 'sweet'"):
        config_from_texts(GraphConfig, {"sweet": "libero_10"})
    with pytest.raises(ArgumentError, match="task is 'three': expected a whole number"):
        config_from_texts(GraphConfig, {"task": "three"})


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_sizes_are_read_as_they_are_shown(height, width):
    assert read_size(show_size((height, width))) == (height, width)


@given(st.text(max_size=12))
def test_reading_a_size_gives_a_size_or_says_what_was_expected(text):
    try:
        height, width = read_size(text)
    except ValueError as error:
        assert "HEIGHTxWIDTH" in str(error)
    else:
        assert height >= 0 and width >= 0


# --- both front ends ---


def test_the_command_line_takes_every_argument(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(sim, "run", lambda config, domain: asked.append((config, domain)) or 0)
    flags = [f"--{argument.name.replace('_', '-')}={argument.default}" for argument in arguments_of(GraphConfig)]
    assert sim.main([*flags, "--domain", "7"]) == 0
    assert sim.main([]) == 0
    assert asked == [(GraphConfig(), 7), (GraphConfig(), None)]


def test_the_command_line_refuses_with_exit_code_2(capsys):
    assert sim.main(["--task", "99"]) == 2
    assert "put both moka pots on the stove" in capsys.readouterr().err


@pytest.fixture
def launch_file(monkeypatch) -> ModuleType:
    """sim.launch.py with stand-ins for launch, which keep what they were given."""

    class Kept(SimpleNamespace):
        def __init__(self, *given, **options) -> None:
            super().__init__(given=given, **options)

    names = {
        "launch": ("LaunchContext", "LaunchDescription", "LaunchDescriptionEntity"),
        "launch.logging": (),
        "launch.actions": ("DeclareLaunchArgument", "OpaqueFunction", "RegisterEventHandler", "Shutdown"),
        "launch.event_handlers": ("OnProcessExit",),
        "launch.events": (),
        "launch.events.process": ("ProcessExited",),
        "launch.substitutions": (),
        "launch_ros": (),
        "launch_ros.actions": ("Node",),
    }
    modules = {name: ModuleType(name) for name in names}
    for name, classes in names.items():
        for class_name in classes:
            setattr(modules[name], class_name, type(class_name, (Kept,), {}))
        monkeypatch.setitem(sys.modules, name, modules[name])
    modules["launch"].logging = modules["launch.logging"]
    modules["launch.logging"].launch_config = SimpleNamespace(log_dir="")
    modules["launch.substitutions"].LaunchConfiguration = lambda name: SimpleNamespace(
        perform=lambda context: context.texts[name]
    )
    spec = importlib.util.spec_from_file_location("sim_launch", PACKAGE / "launch" / "sim.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_launch_file_declares_every_argument_and_starts_the_same_graph(launch_file, tmp_path, monkeypatch):
    monkeypatch.setattr("substep_bringup.graph.default_parameter_file", lambda: DEFAULTS)
    *declared, start = launch_file.generate_launch_description().given[0]
    arguments = arguments_of(GraphConfig)
    assert [(entry.given[0], entry.default_value) for entry in declared] == [(a.name, a.default) for a in arguments]

    texts = {argument.name: argument.default for argument in arguments} | {"runs": str(tmp_path), "namespace": "left"}
    entities = start.function(SimpleNamespace(texts=texts))
    nodes = {entity.name: entity for entity in entities if hasattr(entity, "executable")}
    (folder,) = tmp_path.iterdir()
    graph = simulation_graph(config_from_texts(GraphConfig, texts), folder, DEFAULTS)
    assert list(nodes) == [spec.name for spec in graph.everything]
    for spec in graph.everything:
        action = nodes[spec.name]
        assert (action.package, action.executable, action.namespace) == (spec.package, spec.executable, "/left")
        assert action.parameters == [str(DEFAULTS), dict(spec.parameters)]
        assert action.additional_env == dict(graph.environment)


def test_under_launch_the_end_of_any_process_ends_everything(launch_file, tmp_path):
    folder = launch_file.RunFolder.create(tmp_path, {})
    running, ending = SimpleNamespace(is_shutdown=False), SimpleNamespace(is_shutdown=True)
    died = SimpleNamespace(returncode=-9)
    watch = launch_file._node_watch("policy", folder)
    assert watch(died, ending) is None
    with pytest.raises(RuntimeError, match="node policy was ended by SIGKILL"):
        watch(died, running)
    assert folder.failure() == "node policy was ended by SIGKILL"
    assert launch_file._end_with_session(SimpleNamespace(returncode=0), running).reason
    with pytest.raises(RuntimeError, match="exit code 1"):
        launch_file._end_with_session(SimpleNamespace(returncode=1), ending)


# --- nodes ---


def test_every_node_declares_what_the_graph_and_the_default_file_set(tmp_path, ros, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sections = {pattern.rsplit("/", 1)[-1]: values for pattern, values in read_parameter_file(DEFAULTS).items()}
    assert set(sections) == set(NODE_TYPES)
    for spec in graph_of(tmp_path).everything:
        overrides = [Parameter(name, value=value) for name, value in (sections[spec.name] | spec.parameters).items()]
        node = NODE_TYPES[spec.name](parameter_overrides=overrides)
        unknown = [override.name for override in overrides if not node.has_parameter(override.name)]
        changed = [name.name for name in overrides if node.get_parameter(name.name).value != name.value]
        node.destroy_node()
        assert (unknown, changed) == ([], []), spec.name


def test_clocks_are_those_of_the_bridge():
    assert set(CLOCKS) == {mode.value for mode in ClockMode}


def test_a_namespace_moves_all_nodes(tmp_path):
    assert {spec.namespace for spec in graph_of(tmp_path, namespace="arm/left/").everything} == {"/arm/left"}
    assert {spec.namespace for spec in graph_of(tmp_path).everything} == {""}


# --- parameter files ---


def test_a_users_file_comes_after_the_defaults(tmp_path):
    path = write(tmp_path / "mine.yaml", "/**/planner: {ros__parameters: {retries: 3}}")
    assert graph_of(tmp_path, params_file=path).session.parameter_files == (DEFAULTS, Path(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/**/brigde: {ros__parameters: {seed: 1}}", "names node '/**/brigde': expected one of bridge, policy"),
        ("/**/bridge: {ros__parameters: {suite: libero_90}}", "sets suite of node 'bridge'"),
        ("/**: {ros__parameters: {policy: x}}", "sets policy of node 'policy'"),
        ("/**/bridge: {seed: 1}", "must hold one key, 'ros__parameters'"),
        ("- bridge", "holds list, expected node names"),
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
    assert written == {"/arm/bridge": {"ros__parameters": dict(spec.parameters)}}


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


def test_the_configuration_can_be_kept_as_json(tmp_path):
    from substep_bringup.run_folder import RunFolder

    folder = RunFolder.create(tmp_path, dataclasses.asdict(GraphConfig()))
    assert folder.config()["image_size"] == [128, 128]
    assert RunFolder.create(tmp_path, {}).path != folder.path

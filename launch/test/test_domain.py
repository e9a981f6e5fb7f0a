"""Runs on one machine do not hear each other, and what the user has set is left alone."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from substep_bringup.domain import (
    DISCOVERY_VARIABLES,
    DOMAINS,
    PROFILE_VARIABLES,
    NoDomain,
    free_domain,
    isolation,
    loopback_only,
)
from substep_cli.grammar import main


def test_domains_held_at_the_same_time_differ():
    with free_domain() as one, free_domain() as two:
        assert one != two
        assert {one, two} <= set(DOMAINS)


def _hold(connection) -> None:
    with free_domain() as domain:
        connection.send(domain)
        connection.recv()


def test_another_process_gets_another_domain():
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(there,), daemon=True)
    process.start()
    taken = here.recv()
    with free_domain() as free:
        assert free != taken
    process.kill()
    process.join()
    with free_domain() as again:  # a domain goes back however its holder ends
        assert again >= free


def test_a_domain_in_which_somebody_talks_is_left_out():
    with free_domain() as domain:
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("", 7410 + 250 * domain))
        with free_domain() as other:
            assert other != domain


def test_a_run_is_kept_on_this_machine_in_a_domain_of_its_own():
    with isolation({}) as variables:
        assert Path(variables["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()
        assert int(variables["ROS_DOMAIN_ID"]) in DOMAINS
    with isolation({"ROS_DOMAIN_ID": "4"}, network="open") as variables:
        assert variables == {}
    with isolation({"ROS_DOMAIN_ID": "4", "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}) as variables:
        assert variables == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "it does not read the profile"


NODE = """
import sys, rclpy
rclpy.init()
node = rclpy.create_node("listener")
print("up", flush=True)
sys.stdin.read()
"""


def sockets_of(process: int) -> list[str]:
    """Local addresses of a process's UDP sockets, as hexadecimal numbers."""
    held = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(os.readlink(descriptor))
    lines = [line.split() for line in Path(f"/proc/{process}/net/udp").read_text().splitlines()[1:]]
    return [fields[1].split(":")[0] for fields in lines if f"socket:[{fields[9]}]" in held]


@pytest.mark.parametrize(("network", "expected"), [("local", {"0100007F"}), ("open", {"00000000"})])
def test_a_local_graph_listens_on_loopback_alone(network: str, expected: set[str]):
    user = {name: value for name, value in os.environ.items() if name not in DISCOVERY_VARIABLES}
    with isolation(user, network=network) as variables:
        command = [sys.executable, "-c", NODE]
        with subprocess.Popen(
            command, env=user | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as node:
            assert node.stdout.readline() == "up\n"
            addresses = set(sockets_of(node.pid))
            node.stdin.close()
    assert addresses == expected if network == "local" else expected <= addresses


@pytest.mark.parametrize("told", ["abc", "233", "-1", "1.5", "9" * 50, "٣"])
def test_a_domain_that_is_none_is_said_before_anything_starts(told: str):
    with (
        pytest.raises(NoDomain, match="ROS_DOMAIN_ID is .*, expected a number from 0 to 232"),
        isolation({"ROS_DOMAIN_ID": told}),
    ):
        pass


def test_no_domain_is_one_sentence(tmp_path, monkeypatch, capfd):
    """Not a traceback: whoever meets it is a user."""
    (tmp_path / "substep").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    assert main(["sim", "--runs", str(tmp_path / "runs")]) == 1
    assert f"substep sim: {tmp_path / 'substep'} is not a folder of this user's alone" in capfd.readouterr().err
    (tmp_path / "substep").unlink()
    monkeypatch.setattr("pathlib.Path.mkdir", failing_mkdir(tmp_path / "substep"))
    assert main(["sim", "--runs", str(tmp_path / "runs")]) == 1
    assert "for locks on ROS domains, cannot be made: Read-only file system; set TMPDIR" in capfd.readouterr().err


def failing_mkdir(which: Path):
    """``Path.mkdir`` on a disk that takes no more of this folder."""
    make = Path.mkdir

    def mkdir(path: Path, *args, **options) -> None:
        if path == which:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        make(path, *args, **options)

    return mkdir


def test_locks_lie_in_a_folder_of_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    folder = tmp_path / f"substep-{os.getuid()}"
    with free_domain():
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    with pytest.raises(NoDomain, match="is not a folder of this user's alone .owner .*mode 777"), free_domain():
        pass
    shutil.rmtree(folder)
    (victim := tmp_path / "victim").mkdir(mode=0o700)
    folder.symlink_to(victim)
    with pytest.raises(NoDomain, match="is not a folder of this user's alone"), free_domain():
        pass
    folder.unlink()
    folder.mkdir(mode=0o700)
    stranger = folder.stat().st_uid + 1
    monkeypatch.setattr("os.getuid", lambda: stranger)
    folder.rename(tmp_path / f"substep-{os.getuid()}")
    with pytest.raises(NoDomain, match="is not a folder of this user's alone"), free_domain():
        pass
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.undo()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    with free_domain():
        assert (runtime / "substep" / "domains").is_dir()


@pytest.mark.parametrize(
    "user", [{"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, {"ROS_LOCALHOST_ONLY": "1"}, {"ROS_STATIC_PEERS": "10.0.0.2"}]
)
def test_the_users_discovery_settings_are_left_alone(user):
    with isolation({**user, "ROS_DOMAIN_ID": "4"}) as variables:
        assert variables == {}


def test_a_domain_that_was_asked_for_wins():
    with isolation({"ROS_DOMAIN_ID": "4"}, domain=0) as variables:
        assert variables["ROS_DOMAIN_ID"] == "0"


def test_shared_memory_has_room_for_the_images_of_large_cameras_and_fits_into_a_container():
    """Images for which there is no room are lost, and the world waits until they are asked for again."""
    profile = ElementTree.parse(loopback_only("rmw_fastrtps_cpp")[PROFILE_VARIABLES[0]])
    sizes = [int(item.text) for item in profile.iter() if item.tag.endswith("segment_size")]
    two_images, container = 2 * 640 * 480 * 3, 64 * 2**20
    assert len(sizes) == 1 and sizes[0] >= 4 * two_images and 6 * sizes[0] <= container

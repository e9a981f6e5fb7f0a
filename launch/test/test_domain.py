"""Runs on one machine do not hear each other, and what the user has set is left alone."""

from __future__ import annotations

import multiprocessing
import socket

import pytest

from substep_bringup.domain import DOMAINS, free_domain, isolation


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
        assert variables["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
        assert int(variables["ROS_DOMAIN_ID"]) in DOMAINS


@pytest.mark.parametrize(
    "user", [{"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, {"ROS_LOCALHOST_ONLY": "1"}, {"ROS_STATIC_PEERS": "10.0.0.2"}]
)
def test_the_users_discovery_settings_are_left_alone(user):
    with isolation({**user, "ROS_DOMAIN_ID": "4"}) as variables:
        assert variables == {}


def test_a_domain_that_was_asked_for_wins():
    with isolation({"ROS_DOMAIN_ID": "4"}, domain=0) as variables:
        assert variables["ROS_DOMAIN_ID"] == "0"

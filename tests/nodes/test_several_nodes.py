"""A cluster of two nodes, each with a network of its own: what a lost node, a lost head and a cut cable change.

Slow: two to four minutes each. Every number of a league must be that of one machine, to the last bit.
"""

import pytest
from namespaces import Nodes, why_not
from scenarios import (
    CHECKPOINT_EVERY,
    curriculum_elastic,
    curriculum_network_cut,
    curriculum_node_replaced,
    curriculum_node_taken_for_dead,
    league_head_restarted,
    league_network_cut,
    league_node_cut_off,
    league_node_replaced,
    league_spread,
)

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The folder of all scenarios, which share what was played on one machine."""
    if reason := why_not():
        pytest.skip(reason)
    return tmp_path_factory.mktemp("nodes")


def _check(outcome, exit_code=0):
    assert outcome.exit_code == exit_code, [*outcome.events, outcome.output[-3000:]]
    assert outcome.is_same, outcome.events
    assert all(steps <= CHECKPOINT_EVERY for steps in outcome.steps_redone), outcome.steps_redone


def test_nodes_are_machines_of_their_own(base):
    with Nodes(2, base / "bare") as nodes:
        for index in (0, 1):
            said = nodes.run_command(
                index, ["bash", "-c", "hostname; ip -4 -o addr show eth0; ls /proc | grep -c '^1$'"]
            )
            assert said.stdout.splitlines()[0] == f"node{index + 1}" and nodes.address(index) in said.stdout, said
        reach = ["bash", "-c", f"exec 3<>/dev/tcp/{nodes.address(0)}/6379"]
        assert nodes.run_command(1, reach).returncode == 0
        stranger = ["env", "RAY_AUTH_TOKEN=" + "0" * 64, "ray", "status"]
        assert (
            nodes.run_command(1, stranger).returncode != 0 and nodes.run_command(1, ["ray", "status"]).returncode == 0
        )
        nodes.cut(1)
        assert nodes.run_command(1, ["timeout", "2", *reach]).returncode != 0
        nodes.heal(1)
        again = f"until {reach[-1].replace('exec', 'true')}; do sleep 0.2; done"  # the kernel takes a second to see it
        assert nodes.run_command(1, ["timeout", "10", "bash", "-c", again]).returncode == 0


def test_a_league_spread_over_nodes_has_the_standings_of_one_machine(base):
    outcome = league_spread(base)
    _check(outcome)
    assert len(outcome.addresses) == 2 and outcome.steps_redone == []


def test_a_node_that_is_lost_and_replaced_changes_no_standings(base):
    outcome = league_node_replaced(base)
    _check(outcome)
    assert len(outcome.addresses) == 3 and outcome.steps_redone


def test_a_node_that_is_cut_off_and_goes_on_writing_changes_no_standings(base):
    _check(league_node_cut_off(base))


def test_a_league_goes_on_after_its_head_was_restarted(base):
    outcome = league_head_restarted(base)
    _check(outcome)
    assert len(outcome.addresses) == 2


def test_a_cut_of_30_seconds_changes_no_standings(base):
    _check(league_network_cut(base))


def test_a_cut_of_30_seconds_between_two_workers_changes_no_number(base):
    outcome = curriculum_network_cut(base)
    _check(outcome)


def test_a_curriculum_whose_node_is_taken_for_dead_says_that_it_waits_and_goes_on_with_it(base):
    outcome = curriculum_node_taken_for_dead(base)
    _check(outcome)
    said = " ".join(outcome.events)
    assert (
        "waiting for a node: 2 workers of 1 CPU each are needed" in said and "`ray start --address=10.231.0.1" in said
    )
    assert "the nodes that are needed are alive again" in outcome.output and outcome.steps_redone


def test_a_curriculum_waits_for_the_node_that_replaces_a_lost_one(base):
    outcome = curriculum_node_replaced(base)
    _check(outcome)
    assert outcome.steps_redone


def test_an_elastic_curriculum_goes_on_alone_and_takes_in_the_next_node(base):
    """Fewer workers read the same batches; what differs is the order in which they add."""
    outcome = curriculum_elastic(base)
    _check(outcome, exit_code=143)
    assert len(outcome.steps_redone) >= 2 and outcome.largest_gap < 1e-3

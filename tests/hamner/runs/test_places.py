"""Places of a run in a cluster: what is said when a node is lost that it needs, and when there is one again."""

import subprocess
import sys
import threading

import pytest

from hamner.config.errors import BadInput
from hamner.reports.live_table import RunStatus, draw, with_waiting
from hamner.runs.cluster import check_cluster
from hamner.runs.heartbeat import Heartbeat
from hamner.runs.places import Need, Places, count_places, watched_places

SECONDS = 120  # that two raylets may take on a loaded machine
LOSE_AND_ADD_A_NODE = """
import time
import ray
from ray.cluster_utils import Cluster
from hamner.runs import places

places.LOOK_SECONDS = 0.2
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
lines = []

def until(count):
    while len(lines) < count:
        time.sleep(0.1)

with places.watched_places(ray, places.Need(2, 1), lines.append) as now:
    time.sleep(1)
    assert not lines and not now.line
    cluster.remove_node(second, allow_graceful=False)
    until(1)
    assert now.line == lines[0]
    cluster.add_node(num_cpus=1)
    until(2)
    assert not now.line
print(*[line.replace(cluster.address, "HEAD") for line in lines], sep="\\n")
ray.shutdown()
cluster.shutdown()
"""


def _node(cpus, gpus=0.0, is_alive=True):
    return {"Alive": is_alive, "Resources": {"CPU": float(cpus), "GPU": float(gpus)}}


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "count"),
    [
        ([_node(1), _node(1)], 1, 0, 2),
        ([_node(1), _node(1, is_alive=False)], 1, 0, 1),
        ([_node(3), _node(3)], 2, 0, 2),  # six cores, which hold three of two only on one node
        ([_node(8, 1)], 1, 1 / 3, 3),
        ([_node(8, 1)], 1, 0.333333, 3),
        ([_node(8, 4), _node(2, 4)], 1, 1, 6),  # the second one's cores are what is short
        ([_node(8)], 1, 0.25, 0),
        ([], 1, 0, 0),
    ],
)
def test_a_process_has_all_it_needs_on_one_node(nodes, cpus, gpus, count):
    assert count_places(nodes, cpus, gpus) == count


@pytest.mark.mended("a cluster whose cores are in pieces that are too small")
def test_cores_in_pieces_that_are_too_small_are_refused_before_ray_waits_for_ever():
    with pytest.raises(BadInput, match=r"3 process.* which hold 2 of them"):
        check_cluster([_node(3), _node(3)], 2, 0, 3)
    check_cluster([_node(3), _node(3)], 2, 0, 2)


def test_the_wait_is_said_once_and_so_is_its_end():
    lines, places, need = [], Places(), Need(4, 8, 1)
    alive, lost = [_node(16, 2), _node(16, 2)], [_node(16, 2), _node(16, 2, is_alive=False)]
    for nodes in (alive, lost, lost, alive, alive):
        places.look(nodes, need, "10.0.0.1:6379", lines.append)
    assert lines == [
        "waiting for a node: 4 workers of 8 CPU and 1 GPU each are needed, and the nodes that are alive hold 2; "
        "continue with `ray start --address=10.0.0.1:6379` on the machine that was lost, or on another",
        "the nodes that are needed are alive again: the run continues",
    ]


def test_a_status_that_waits_says_so_in_place_of_the_time_left():
    heartbeat = Heartbeat("running", 0.0, None)
    status = RunStatus("curriculum mine", heartbeat, "step 3", "the run takes 15 s more", line="step 3")
    waiting = with_waiting(status, "waiting for a node: why")
    picture = draw(waiting, 100).plain
    assert "waiting for a node: why" in picture and "15 s" not in picture and waiting.line == "waiting for a node: why"
    assert with_waiting(status, "") is status


@pytest.mark.mended("a node is lost that a curriculum needs")
def test_a_node_of_a_real_cluster_is_lost_and_another_joins():
    child = [sys.executable, "-c", LOSE_AND_ADD_A_NODE]
    done = subprocess.run(child, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = done.stdout.splitlines()[-2:]
    assert first.startswith("waiting for a node: 2 workers of 1 CPU each are needed,")
    assert "`ray start --address=HEAD`" in first and second.startswith("the nodes that are needed are alive again")


def test_where_no_ray_is_joined_none_is_started_to_ask_it():
    import ray

    with watched_places(ray, Need(2, 1), pytest.fail):
        assert not [thread for thread in threading.enumerate() if thread.name == "places"]
    assert not ray.is_initialized()

"""`tensorboard --logdir results` lists every contestant and the curriculum, asked through its own HTTP API."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from curriculum.stages import FLAT
from hamner.config.presets import CONTESTANTS
from tests.ports import free_port

HPARAMS = {
    "startIndex": 0,
    "sliceSize": 100,
    "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
    "colParams": [],
}


def _answer(port, page, request=None):
    data = None if request is None else json.dumps(request).encode()
    address, headers = f"http://127.0.0.1:{port}/data/plugin/{page}", {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=20) as answer:
        return json.load(answer)


def _check_hparams(answer):
    """A row a contestant with both of its seeds, the same keys for all, no metric empty."""
    groups = {group["name"].removesuffix(" (league)"): group for group in answer["sessionGroups"]}
    assert set(groups) == set(CONTESTANTS)
    assert len({tuple(sorted(group["hparams"])) for group in groups.values()}) == 1
    metrics = [{value["name"]["tag"]: value["value"] for value in group["metricValues"]} for group in groups.values()]
    assert all(set(values) == set(metrics[0]) for values in metrics)
    assert {"heldout/loss", "heldout/loss_of_grid", "train/loss", "speed/tokens_per_second"} <= set(metrics[0])
    assert all(len(group["sessions"]) == 2 for group in groups.values())


@pytest.mark.end_to_end
def test_ten_contestants_and_one_curve_of_all_stages(league, raised, commands):
    port = free_port()
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "tensorboard"), "--logdir", str(commands.results), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    expected = {f"tournament/league/{name}" for name in CONTESTANTS} | {"curriculum/raised/tensorboard"}
    try:
        listed: set[str] = set()
        for _ in range(120):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs", timeout=5) as answer:
                    listed = set(json.load(answer))
            except OSError:
                pass
            if expected <= listed:
                break
            time.sleep(0.5)
        assert expected <= listed
        points = _answer(port, "scalars/scalars?tag=train/loss&run=tournament/league/v01_dense_small")
        assert [point[1] for point in points][:3] == [1, 2, 3]
        points = _answer(port, "scalars/scalars?tag=stage/number&run=curriculum/raised/tensorboard")
        assert {int(point[2]) for point in points} == set(range(1, len(FLAT) + 1))
        tags = _answer(port, "scalars/tags")
        for name in CONTESTANTS:
            assert "nats per token" in tags[f"tournament/league/{name}"]["heldout/loss"]["description"]
        _check_hparams(_answer(port, "hparams/session_groups", HPARAMS))
    finally:
        server.terminate()
        server.wait()

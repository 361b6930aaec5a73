"""`ray job submit tournament`, literally, against a real head, from another directory."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest
import yaml

from hamner.config.schema import ModelConfig
from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import build
from hamner.training import checkpoint
from tests.ports import free_port

REPO = Path(__file__).resolve().parents[1]
RAY = str(Path(sys.executable).parent / "ray")
BIN = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # an activated environment


@pytest.fixture
def head(tmp_path):
    """A head of our own; only RAY_ADDRESS (and the token mode Ray may want) is told to the submitter."""
    port, dashboard, agent = free_port(), free_port(), free_port()
    temporary = Path(tempfile.mkdtemp(prefix="ray"))  # short: Ray's sockets live below it
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "HAMNER_"))} | {"PATH": BIN}
    process = subprocess.Popen(
        [
            RAY,
            "start",
            "--head",
            "--block",
            "--num-cpus=2",
            f"--port={port}",
            f"--dashboard-port={dashboard}",
            f"--dashboard-agent-listen-port={agent}",  # where another head has the default one, no job is ever started
            f"--temp-dir={temporary}",
            "--disable-usage-stats",
        ],
        env=clean | {"HAMNER_RESULTS": str(tmp_path / "results")},
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{dashboard}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/api/version", timeout=2)
            break
        except urllib.error.HTTPError:
            break  # it is up and wants a token
        except OSError:
            time.sleep(0.5)
    yield clean | {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "token"}
    os.killpg(process.pid, signal.SIGTERM)
    time.sleep(3)
    subprocess.run(["pkill", "-9", "-f", str(temporary)], check=False)
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.mark.slow
def test_a_job_runs_the_league_and_a_bad_key_fails_it(head, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [RAY, "job", "submit", "--submission-id", "good", "--", "tournament", "--config", "smoke", "--name", "job"],
        env=head,
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in (done.stdout + done.stderr).lower()
    winner = json.loads((tmp_path / "results" / "tournament" / "job" / "winner.json").read_text())
    assert winner["run"] == "job"
    bad = subprocess.run(
        [RAY, "job", "submit", "--submission-id", "bad", "--", "tournament", "batch_sise=3"],
        env=head,
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert bad.returncode == 1
    assert "did you mean 'batch_size'" in bad.stdout + bad.stderr
    status = subprocess.run([RAY, "job", "status", "bad"], env=head, cwd=elsewhere, capture_output=True, text=True)
    assert "failed" in (status.stdout + status.stderr).lower()
    assert list(elsewhere.iterdir()) == []


@pytest.fixture
def submitted(tmp_path):
    """A folder with an archive of the code, and job_runtime_env.yaml with another place for results."""
    folder, text = tmp_path / "clone", (REPO / "ray_configs" / "job_runtime_env.yaml").read_text(encoding="utf-8")
    (folder / "results").mkdir(parents=True)
    (command,) = re.findall(r"^# +(git archive .*)$", text, flags=re.M)
    subprocess.run(command.replace("hamner.zip", str(folder / "hamner.zip")).split(), cwd=REPO, check=True)
    with zipfile.ZipFile(folder / "hamner.zip", "a") as archive:
        archive.writestr("hamner/mark_of_this_clone.py", "")
    environment = tmp_path / "job.yaml"
    environment.write_text(text.replace("/shared/results", str(tmp_path / "shared")), encoding="utf-8")
    return folder, environment


@pytest.mark.slow
def test_a_job_takes_the_code_of_its_clone_along_and_leaves_results_where_it_is_told(head, submitted, tmp_path):
    folder, environment = submitted

    def submit(*words):
        command = [RAY, "job", "submit", "--runtime-env", str(environment), "--", *words]
        return subprocess.run(command, env=head, cwd=folder, capture_output=True, text=True, timeout=400)

    look = submit("python", "-c", "import hamner.mark_of_this_clone, os; print(os.listdir())")
    assert look.returncode == 0, look.stdout + look.stderr
    assert "'hamner'" in look.stdout and "'results'" not in look.stdout
    done = submit("python", "-m", "tournament", "--config", "smoke", "--name", "job", "steps=[5,5,5]", "seeds=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "shared" / "tournament" / "job" / "winner.json").is_file()
    again = submit("python", "-m", "tournament", "--config", "smoke", "--name", "job")
    assert again.returncode == 1 and "exists already" in again.stdout + again.stderr
    assert list((folder / "results").iterdir()) == []


def _listening(port):
    """The addresses at which processes of this machine listen on a port, as the kernel writes them."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


@pytest.mark.slow
def test_the_server_that_is_deployed_on_a_cluster_listens_at_its_own_machine(head, tmp_path):
    pytest.importorskip("grpc_reflection", reason="no Ray Serve: pip install '.[ray_serve]'")
    run, port = tmp_path / "results" / "curriculum" / "mine", free_port()
    tokenizer = Tokenizer.train(["user assistant system hello there the fox and the owl"], 300)
    model = ModelConfig(vocab_size=300, hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=8)
    checkpoint.save(run / "final", {"model": build(model, 0).state_dict()}, {"step": 1}, model, tokenizer)
    (run / "config.json").write_text('{"config": {}}')
    config = yaml.safe_load((REPO / "ray_configs" / "serve.yaml").read_text(encoding="utf-8"))
    config["http_options"]["port"] = port
    config["applications"][0]["args"] = {"run": "mine", "results": str(tmp_path / "results"), "replicas": 1}
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(config))
    words = [sys.executable, "-m", "ray.serve.scripts", "deploy", "--address", head["RAY_ADDRESS"], "serve.yaml"]
    done = subprocess.run(words, env=head, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    end = time.monotonic() + 150
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5) as answer:
                assert json.load(answer)["data"][0]["id"] == "mine"
                break
        except OSError:
            time.sleep(1)
    assert _listening(port) == {"0100007F"}  # 127.0.0.1

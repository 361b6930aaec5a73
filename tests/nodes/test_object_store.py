"""Storage at an address (S3): prepared text goes there whole, one command at a time; runs are refused.

The server is moto's, on this machine: pip install '.[nodes]'.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hamner.runs.files import json_bytes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hamner" / "data"))
from sample_texts import command_arguments, prose, write_lines

pytestmark = pytest.mark.slow
KEYS = {"key": "testing", "secret": "testing"}
BUCKET = "shards"


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server with an empty bucket."""
    pytest.importorskip("s3fs", reason="no s3fs: pip install '.[nodes]'")
    moto = pytest.importorskip("moto.server", reason="no moto: pip install '.[nodes]'")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    _files(endpoint).mkdir(BUCKET)
    yield endpoint
    server.stop()


def _files(endpoint):
    import s3fs

    return s3fs.S3FileSystem(endpoint_url=endpoint, skip_instance_cache=True, use_listings_cache=False, **KEYS)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    data = tmp_path_factory.mktemp("texts")
    for source in ("tinystories", "personal"):
        write_lines(data / source / "a.jsonl", [{"text": prose(source, n, 40)} for n in range(60)])
    return data


def _start(endpoint, *words, module="hamner.prepare_data", cwd=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "HAMNER_"))}
    environment |= {"FSSPEC_S3": json.dumps(KEYS | {"endpoint_url": endpoint}), "RAY_USAGE_STATS_ENABLED": "0"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", module, *map(str, words)], env=environment, cwd=cwd, **pipes)


def _run(endpoint, *words, **options):
    process = _start(endpoint, *words, **options)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def _hashes(contents):
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def _at(endpoint, place):
    """Name -> hash of each file at an address."""
    files = _files(endpoint)
    root = place.removeprefix("s3://")
    return _hashes({path.removeprefix(f"{root}/"): files.cat_file(path) for path in files.find(root)})


def _in(folder):
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".lease")]
    return _hashes({str(path.relative_to(folder)): path.read_bytes() for path in paths})


@pytest.mark.parametrize("module", ["hamner.prepare_data", "curriculum.prepare_data"])
def test_text_prepared_at_an_address_is_that_of_a_folder_byte_for_byte(server, texts, tmp_path, module):
    place = f"s3://{BUCKET}/{module}"
    code, out, err = _run(server, *command_arguments(texts, place), module=module)
    assert code == 0, out + err
    assert f"finished: {place}; copy it to a disk of the machine first" in out
    code, out, err = _run(server, *command_arguments(texts, tmp_path / "out"))
    assert code == 0, out + err
    assert _at(server, place) == _in(tmp_path / "out") and len(_in(tmp_path / "out")) > 4
    code, out, err = _run(server, *command_arguments(texts, place))  # finished: nothing is written
    assert code == 0 and "finished" in out


def test_a_second_command_at_one_address_is_refused_and_a_killed_one_is_continued(server, texts, tmp_path):
    place = f"s3://{BUCKET}/twice"
    words = command_arguments(texts, place)
    first = _start(server, *words)
    second = _start(server, *words, "--tokens", "3000")  # another plan would mix with the first one's files
    results = [(*process.communicate(timeout=200), process.returncode) for process in (first, second)]
    codes = sorted(code for _, _, code in results)
    if codes == [0, 0]:  # one had ended before the other looked
        pytest.fail("both prepared: make the text longer")
    assert codes == [0, 2], results
    assert any("is being prepared by another process" in err or "finished" in err for _, err, code in results if code)
    place = f"s3://{BUCKET}/killed"
    words, files = command_arguments(texts, place), _files(server)
    killed = _start(server, *words)
    while not files.exists(f"{BUCKET}/killed/.prepare.lease"):
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    began = time.monotonic()
    code, out, err = _run(server, *words)
    assert code == 0 and "to see whether it still is" in err, out + err
    assert 30 <= time.monotonic() - began < 100
    assert _run(server, *command_arguments(texts, tmp_path / "out"))[0] == 0
    assert _at(server, place) == _in(tmp_path / "out")


@pytest.mark.parametrize("module", ["tournament", "curriculum.run", "hamner.sft"])
def test_a_results_folder_at_an_address_is_refused_in_one_line(server, tmp_path, module):
    who = {"tournament": [], "curriculum.run": ["v3"], "hamner.sft": ["mine"]}[module]
    code, out, err = _run(server, *who, "--results", f"s3://{BUCKET}/results", module=module, cwd=tmp_path)
    assert code == 2 and err.count("\n") == 1 and "is an address, not a folder" in err, out + err
    assert list(tmp_path.iterdir()) == [] and not _files(server).exists(f"{BUCKET}/results")


def test_what_a_run_would_need_an_object_store_has_not(server):
    """Why runs are refused: a folder's rename is a copy and a deletion of each file, and nothing is locked."""
    from pyarrow import fs

    ours = _files(server)
    for number in range(3):
        ours.pipe_file(f"{BUCKET}/step/{number}", json_bytes({"number": number}))
    arrow = fs.S3FileSystem(
        access_key=KEYS["key"], secret_key=KEYS["secret"], endpoint_override=server, scheme="http", region="us-east-1"
    )
    with pytest.raises(OSError):
        arrow.move(f"{BUCKET}/step", f"{BUCKET}/renamed")  # as a checkpoint is committed
    assert not hasattr(arrow, "lock") and not hasattr(ours, "lock")
    with contextlib.suppress(FileNotFoundError):  # s3fs 2026.9 then misses the folder itself, and keeps the old files
        ours.mv(f"{BUCKET}/step", f"{BUCKET}/renamed", recursive=True)
    assert len(ours.find(f"{BUCKET}/renamed")) == 3

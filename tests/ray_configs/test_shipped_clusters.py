"""The files of ray_configs/ for clusters: valid by Ray's schema and the operator's, with tokens, closed to others."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from hamner.config.errors import BadInput
from hamner.config.load import config_names, load_config
from hamner.runs.cluster import check_cluster, cores_per_worker

REPO = Path(__file__).resolve().parents[2]
SHIPPED = REPO / "ray_configs"
CLUSTERS = ("ray_up", "ray_up_aws")
FIELDS = json.loads(Path(__file__).with_name("kuberay_fields.json").read_text(encoding="utf-8"))
LARGEST_PACKAGE = 2_000_000  # bytes


def _read(name):
    return yaml.safe_load((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"))


def test_every_file_is_listed_here():
    names = {path.stem for path in SHIPPED.glob("*.yaml")}
    assert names == {*CLUSTERS, "kuberay", "job_runtime_env", "serve"}
    assert {path.stem for path in SHIPPED.glob("*.toml")} == {"laptop", "rtx3090", "smoke", "cluster"}


# -- cluster.toml


@pytest.mark.parametrize(("nodes", "cards"), [(1, 4), (4, 1), (2, 2), (1, 8), (3, 2)])
def test_a_curriculum_fits_any_number_of_cards_a_node(monkeypatch, nodes, cards):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    config = load_config("cluster")
    alive = [{"Alive": True, "Resources": {"CPU": 8.0 * cards, "GPU": float(cards)}}] * nodes
    check_cluster(alive, cores_per_worker(config), 1, config.compute.workers)
    assert config.curriculum.batch_size % config.compute.workers == 0


def test_a_cluster_with_fewer_cards_than_workers_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    config = load_config("cluster")
    with pytest.raises(BadInput, match="4 process"):
        check_cluster([{"Alive": True, "Resources": {"CPU": 24.0, "GPU": 3.0}}], cores_per_worker(config), 1, 4)


def test_what_changes_is_the_file():
    one, many = (load_config(name).model_dump() for name in ("rtx3090", "cluster"))
    for key in ("workers", "max_failures"):
        one["compute"].pop(key), many["compute"].pop(key)
    assert one == many
    assert "cluster" in config_names()


# -- ray up


@pytest.mark.parametrize("name", CLUSTERS)
def test_ray_up_takes_the_file_by_its_own_schema(name):
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(_read(name))
    validate_config(config)
    with pytest.raises(Exception, match="max_wrokers"):
        validate_config(config | {"max_wrokers": 3})


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_node_asks_for_the_token_and_the_dashboard_answers_its_own_machine(name):
    config = _read(name)
    for key, head in (("head_start_ray_commands", True), ("worker_start_ray_commands", False)):
        (start,) = [command for command in config[key] if "ray start" in command]
        assert "RAY_AUTH_MODE=token" in start.split("ray start")[0]
        assert ("--dashboard-host=127.0.0.1" in start) == head
        assert any("chmod 600 ~/.ray/auth_token" in command for command in config[key])
        assert "HAMNER_RESULTS=" in start
    assert config["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}


# -- Kubernetes


def _paths(value, path=""):
    """(path, scalar) of everything in a document, without the names that users give."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if (path, key) != ("", "metadata"):
                yield from _paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, f"{path}[]")
    else:
        yield path, value


def _problem(path, value):
    kind = FIELDS["fields"].get(path)
    kinds = {"string": str, "integer": int, "boolean": bool, "int-or-string": (int, str)}
    if kind is None:
        return f"{path} is not known"
    if isinstance(kind, list):
        return "" if value in kind else f"{path} is not one of {kind}"
    return "" if isinstance(value, kinds[kind]) else f"{path} is not of type {kind}"


def test_the_job_of_kubernetes_has_fields_that_the_operator_knows():
    job = _read("kuberay")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert [problem for path, value in _paths(job) if (problem := _problem(path, value))] == []
    assert _problem("spec.rayClusterSpec.authOptions.mode", "tokens") and _problem("spec.backofLimit", 0)
    assert _problem("spec.backoffLimit", "0")


def test_the_whole_schema_of_the_operator_takes_the_job():
    """HAMNER_KUBERAY_CRD: the file that kuberay_fields.json names; 1.4 MB, so it is not kept here."""
    file = os.environ.get("HAMNER_KUBERAY_CRD")
    if not file:
        pytest.skip("HAMNER_KUBERAY_CRD names no file")
    import jsonschema

    crd = yaml.load(Path(file).read_text(encoding="utf-8"), yaml.CSafeLoader)
    (version,) = [version for version in crd["spec"]["versions"] if version["name"] == "v1"]
    schema = version["schema"]["openAPIV3Schema"]
    jsonschema.validate(_read("kuberay"), schema)
    for path, _ in _paths(_read("kuberay")):
        place = schema
        for key in path.replace("[]", ".[]").split("."):
            rest = place.get("additionalProperties", {})
            place = place["items"] if key == "[]" else place.get("properties", {}).get(key, rest)
            assert place, path
            if place is rest:  # a key of the user's, such as nvidia.com/gpu
                break


def test_the_pods_ask_for_the_token_and_keep_their_results():
    spec = _read("kuberay")["spec"]
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"} and spec["backoffLimit"] == 0
    import ray

    assert cluster["rayVersion"] == ray.__version__
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        (container,) = pod["containers"]
        results = {item["name"]: item["value"] for item in container["env"]}["HAMNER_RESULTS"]
        (mount,) = container["volumeMounts"]
        assert results.startswith(f"{mount['mountPath']}/") and pod["volumes"][0]["name"] == mount["name"]
        assert pod["automountServiceAccountToken"] is False


# -- the package of a job


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with results, data and an environment of megabytes each, and the archive that the command makes."""
    folder = tmp_path_factory.mktemp("clone") / "hamner"

    def git(*words, cwd=folder):
        return subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=True).stdout

    for name in filter(None, git("ls-files", "-z", cwd=REPO).split("\0")):
        if (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO / name, folder / name)
    for name in (
        "results/tournament/r/v01/model.safetensors",
        "results/x.csv",
        "data/sft/a.jsonl",
        ".venv/lib/torch.so",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(3_000_000))
    git("init", "-q")
    git("add", "-A")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all that is not ignored")
    for name in ("hamner/friend.gguf", "friend.zip"):
        (folder / name).write_bytes(os.urandom(3_000_000))
    text = (SHIPPED / "job_runtime_env.yaml").read_text(encoding="utf-8")
    (command,) = re.findall(r"^# +git (archive .*)$", text, flags=re.M)
    git(*command.split())
    return folder


def _package(clone, monkeypatch, environment):
    """The names in the package that Ray uploads of a clone, and its size, by Ray's own code."""
    from ray._private.runtime_env.packaging import create_package
    from ray._private.runtime_env.working_dir import upload_working_dir_if_needed

    packages = []

    def upload(path, excludes, is_file=False):
        package = Path(path)
        if not is_file:
            package = clone.parent / "made.zip"
            create_package(path, package, include_gitignore=False, excludes=excludes)
        packages.append(package.resolve())

    monkeypatch.chdir(clone)
    upload_working_dir_if_needed(dict(environment), include_gitignore=False, upload_fn=upload)
    with zipfile.ZipFile(packages[0]) as package:
        return set(package.namelist()), packages[0].stat().st_size


def test_a_job_takes_the_code_along_and_neither_data_nor_results(clone, monkeypatch):
    names, size = _package(clone, monkeypatch, _read("job_runtime_env"))
    assert 400_000 < size < LARGEST_PACKAGE
    files = {name for name in names if not name.endswith("/")}
    assert {name.split("/")[0] for name in files} == {
        "hamner",
        "tournament",
        "curriculum",
        "ray_configs",
        "pyproject.toml",
    }
    assert {"hamner/__main__.py", "tournament/run.py", "ray_configs/cluster.toml", "hamner/py.typed"} <= files
    assert "hamner/friend.gguf" not in files and "hamner/data/builtin_text/identity.toml" in files


def test_the_folder_itself_is_a_larger_package_but_holds_neither_results_nor_data(clone, monkeypatch):
    names, size = _package(clone, monkeypatch, _read("job_runtime_env") | {"working_dir": "."})
    assert not [name for name in names if name.startswith(("results/", "data/", ".venv/", ".git/"))]
    assert {"hamner/__main__.py", "hamner/data/corpus.py", "ray_configs/cluster.toml"} <= names
    assert not [name for name in names if name.endswith((".gguf", ".zip"))] and size > LARGEST_PACKAGE


def test_a_job_writes_its_results_to_a_place_of_its_own():
    variables = _read("job_runtime_env")["env_vars"]
    assert Path(variables["HAMNER_RESULTS"]).is_absolute() and variables["RAY_AUTH_MODE"] == "token"
    assert not any("TOKEN" in name for name in variables)  # what stands here is shown by Ray's dashboard


# -- the server


def test_the_deployed_server_listens_at_its_own_machine():
    config = _read("serve")
    assert config["http_options"]["host"] == "127.0.0.1"
    (app,) = config["applications"]
    assert app["import_path"] == "ray_configs.serve_app:application"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own use of pydantic
def test_the_deployed_server_is_one_that_ray_serve_takes():
    pytest.importorskip("grpc_reflection", reason="no Ray Serve: pip install '.[ray_serve]'")
    from ray.serve.schema import ServeDeploySchema

    from ray_configs.serve_app import Words

    schema = ServeDeploySchema.parse_obj(_read("serve"))
    assert schema.http_options.host == "127.0.0.1"
    assert Words(**_read("serve")["applications"][0]["args"]).gpus == 0.25

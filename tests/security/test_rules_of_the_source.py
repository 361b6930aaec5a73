"""Rules of the source that keep others out: no remote code, no pickle from files, no listening on all addresses."""

import ast
import re
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ("hamner", "tournament", "curriculum", "ray_configs", "docs")
    for path in sorted((REPO / folder).rglob("*.py"))
]
UNPICKLES = {  # file: why what it unpickles comes from no file that somebody else could have written
    "hamner/runs/background.py": "the standard input of a child, from its parent",
    "tournament/scheduler.py": "the error of a trial, which Ray wrote for this very driver",
}


def _nodes(path):
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def _remote_code(path):
    """Lines in which a call or a value would let a model's folder run its code."""
    for node in _nodes(path):
        is_keyword = isinstance(node, ast.keyword) and node.arg == "trust_remote_code"
        is_key = isinstance(node, ast.Constant) and node.value == "trust_remote_code"
        is_target = isinstance(node, ast.Name | ast.Attribute) and "trust_remote_code" in ast.unparse(node)
        if is_keyword or is_key or is_target:
            yield f"{path.name}:{node.lineno if not is_keyword else node.value.lineno}"


ALL_ADDRESSES = ("0.0.0.0", "::", "[::]", "0")  # and "" as a host
HOST = re.compile(r"(.*[-_])?(host|address)")


def _open_hosts(path):
    """Lines that name all addresses: as a text of its own, or as a host that is empty."""
    for node in _nodes(path):
        named = []
        if isinstance(node, ast.Constant) and node.value in ALL_ADDRESSES[:3]:
            yield node.lineno
        elif isinstance(node, ast.keyword):
            named = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            named = [(getattr(key, "value", None), value) for key, value in zip(node.keys, node.values, strict=True)]
        elif isinstance(node, ast.Assign):
            named = [(ast.unparse(target).rpartition(".")[2], node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign):
            named = [(ast.unparse(node.target).rpartition(".")[2], node.value)]
        elif isinstance(node, ast.arguments):
            spots = [*node.posonlyargs, *node.args]
            named = [
                (a.arg, value) for a, value in zip(spots[len(spots) - len(node.defaults) :], node.defaults, strict=True)
            ]
            named += [(a.arg, value) for a, value in zip(node.kwonlyargs, node.kw_defaults, strict=True)]
        elif isinstance(node, ast.Call):
            pairs = [a.elts[0] for a in node.args if isinstance(a, ast.Tuple) and len(a.elts) == 2]
            is_socket = re.search(r"bind|[sS]erver", ast.unparse(node.func))
            named = [("host", pair) for pair in pairs if is_socket]
            if node.args and getattr(node.args[0], "value", None) == "--host":
                named += [("host", word.value) for word in node.keywords if word.arg == "default"]
        for name, value in named:
            if HOST.fullmatch(str(name)) and isinstance(value, ast.Constant) and value.value == "":
                yield value.lineno


def _open_settings(value, key=""):
    """The hosts of a YAML file that are all addresses, and words of commands that name them."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _open_settings(part, str(name))
    elif isinstance(value, list):
        for part in value:
            yield from _open_settings(part, key)
    elif HOST.fullmatch(key):
        if value is None or str(value).strip() in (*ALL_ADDRESSES, "", "*"):
            yield f"{key}: {value}"
    elif isinstance(value, str) and re.search(r"(?<![\d.])0\.0\.0\.0(?![\d./])|host[ =]['\"]?(::|\*|\s|$)", value):
        yield value


def _calls(path, names):
    for node in _nodes(path):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            yield node


def test_we_never_trust_remote_code():
    assert [line for path in SOURCES for line in _remote_code(path)] == []


@pytest.mark.parametrize(
    "text", ["f(trust_remote_code=True)", "f(**{'trust_remote_code': True})", "trust_remote_code = 1"]
)
def test_trust_in_remote_code_would_be_seen(tmp_path, text):
    (tmp_path / "a.py").write_text(text)
    assert list(_remote_code(tmp_path / "a.py")) == ["a.py:1"]


def test_nothing_unpickles_but_what_a_process_of_ours_has_sent():
    names = {"pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads", "torch.load",
             "joblib.load", "dill.load", "pandas.read_pickle", "pd.read_pickle", "marshal.loads", "shelve.open",
             "eval", "exec", "yaml.load", "yaml.unsafe_load"}  # fmt: skip
    where = {str(path.relative_to(REPO)) for path in SOURCES if any(_calls(path, names))}
    assert where == set(UNPICKLES)


def test_numpy_is_told_to_load_no_objects():
    loads = [call for path in SOURCES for call in _calls(path, {"np.load", "numpy.load"})]
    assert loads
    for call in loads:
        (value,) = [word.value for word in call.keywords if word.arg == "allow_pickle"]
        assert isinstance(value, ast.Constant) and value.value is False


def test_no_run_of_rays_is_restored_from_its_pickles():
    assert [
        p.name for p in SOURCES if any(_calls(p, {"tune.Tuner.restore", "Tuner.restore", "TorchTrainer.restore"}))
    ] == []


def test_nothing_listens_on_all_addresses_by_itself():
    """0.0.0.0 stands in help and messages, and where an address is compared."""
    places = [str(path.relative_to(REPO)) for path in SOURCES for _ in _open_hosts(path)]
    # names of this machine in RAY_ADDRESS; a port is bound for a moment and never listened at, to see that it is free
    assert places == ["hamner/runs/cluster.py", "hamner/runs/preflight_network.py"]
    files = sorted((REPO / "ray_configs").glob("*.yaml"))
    assert len(files) == 5
    assert [line for path in files for line in _open_settings(yaml.safe_load(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    "text",
    [
        "host = '0.0.0.0'", "f(host='')", "f(dashboard_host='')", "socket.bind(('', 80))", "create_server(('', 0))",
        "f(**{'host': ''})", "host = ''", "def f(host=''): pass", "def f(*, host: str = ''): pass", "host: str = ''",
        "ThreadingHTTPServer(('', 80), Handler)", "x.host = '::'", "add('--host', default='')",
    ],
)  # fmt: skip
def test_a_socket_for_all_addresses_would_be_seen(tmp_path, text):
    (tmp_path / "a.py").write_text(text)
    assert list(_open_hosts(tmp_path / "a.py")) == [1]


@pytest.mark.parametrize(
    "text",
    ["host: 0.0.0.0", "host: ''", "host:", "a: [{host: '::'}]", "a: ['ray start --dashboard-host=0.0.0.0']",
     "a: ray start --dashboard-host 0.0.0.0", "dashboard-host: '0'", "http_options: {host: '*'}"],
)  # fmt: skip
def test_a_setting_for_all_addresses_would_be_seen(text):
    assert len(list(_open_settings(yaml.safe_load(text)))) == 1


def test_the_server_listens_at_this_machine():
    from hamner.serve import parser

    assert parser().parse_args([]).host == "127.0.0.1"


def test_the_page_of_the_server_sets_text_and_never_markup():
    script = "".join(path.read_text(encoding="utf-8") for path in (REPO / "hamner/inference/web").glob("*.js"))
    assert script.count("textContent") > 5
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"):
        assert word not in script, word

"""Rules of the source that keep others out: no remote code, no pickle from files, no listening on all addresses."""

import ast
from pathlib import Path

import pytest

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
    places = []
    for path in SOURCES:
        for node in _nodes(path):
            if isinstance(node, ast.Constant) and node.value in ("0.0.0.0", "::", "*") and node.value != "*":
                places.append(str(path.relative_to(REPO)))
    assert places == ["hamner/runs/cluster.py"]  # names of this machine in RAY_ADDRESS


def test_the_server_listens_at_this_machine():
    from hamner.serve import parser

    assert parser().parse_args([]).host == "127.0.0.1"


def test_the_page_of_the_server_sets_text_and_never_markup():
    script = "".join(path.read_text(encoding="utf-8") for path in (REPO / "hamner/inference/web").glob("*.js"))
    assert script.count("textContent") > 5
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"):
        assert word not in script, word

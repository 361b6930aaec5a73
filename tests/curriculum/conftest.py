"""A run of the curriculum in a bare process, without Ray: the same loop, made short or odd."""

import json

import pytest
import torch

from curriculum.stages import Stage, StagePlan
from curriculum.train_loop import CurriculumRun
from hamner.config.load import load_config
from hamner.config.presets import model_named
from hamner.data.preparation.for_run import prepare


@pytest.fixture(scope="session")
def smoke_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke") / "data"
    config = load_config("smoke")
    prepare(
        config,
        folder,
        ["tinystories", "sft", "personal", "synthetic", "fineweb_edu"],
        tokenizer=None,
        seq_len=64,
        hub_tokens=0,
        say=lambda line: None,
    )
    return folder


@pytest.fixture
def course(smoke_data, tmp_path):
    """course(*stages, name, words=("key=value", ...)) -> a CurriculumRun of `v3` at smoke size in its own folder.

    facts: what its config.json has beside the usual.
    """
    before = torch.get_num_threads()

    def make(*stages: Stage, words: tuple[str, ...] = (), name: str = "run", facts=(), **arguments) -> CurriculumRun:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            config = load_config("smoke", ["skill_items=2", "sample_tokens=2", *words], "curriculum")
            (folder / "config.json").write_text(
                json.dumps(
                    {
                        "config": config.model_dump(mode="json"),
                        "from": None,
                        "first_stage": 0,
                        "model": model_named("v3", config.size).model_dump(),
                        "curriculum": StagePlan(name="test", stages=stages).model_dump(mode="json"),
                    }
                    | dict(facts)
                )
            )
            (folder / "data").symlink_to(smoke_data)
        return CurriculumRun(folder, **arguments)

    yield make
    torch.set_num_threads(before)

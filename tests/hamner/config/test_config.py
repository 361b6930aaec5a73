"""Configs are strict: every slip is named with its value and the way out, all slips at once."""

import pytest

from hamner.config.errors import BadInput, did_you_mean
from hamner.config.load import RENAMED_KEYS, check_overrides, config_names, leaves, load_config, qualified
from hamner.config.schema import Config
from hamner.runs.folders import write_config


def _file(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def _problems(name, *overrides, section="tournament"):
    with pytest.raises(BadInput) as caught:
        load_config(name, overrides, section)
    return caught.value.problems


def test_shipped_names_are_these():
    assert config_names() == ["cluster", "laptop", "rtx3090", "smoke"]


@pytest.mark.parametrize("name", config_names())
def test_shipped_config_parses(name):
    config = load_config(name)
    assert len(config.tournament.steps) == len(config.tournament.keep) == 3
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_full_size_numbers_are_the_defaults():
    config = load_config("rtx3090")
    assert config.tournament.steps == (500, 1000, 2000) and config.tournament.keep == (5, 3, 1)
    # only the parts one batch is computed in are the card's: they change no number but memory
    assert (
        load_config("rtx3090", ["tournament.gradient_accumulation_steps=1", "curriculum.gradient_accumulation_steps=1"])
        == Config()
    )


def test_file_keeps_the_defaults_it_does_not_name(tmp_path):
    config = load_config(_file(tmp_path, "seed = 3\n[optimizer]\nclip = 0.5\n"))
    assert (config.seed, config.optimizer.clip, config.optimizer.beta2) == (3, 0.5, 0.95)


def test_config_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Config().seed = 1


def test_unknown_name_says_the_closest():
    (problem,) = _problems("laptp")
    assert "'laptp'" in problem and "did you mean 'laptop'?" in problem


def test_broken_toml_is_said_with_its_line(tmp_path):
    (problem,) = _problems(_file(tmp_path, "seed = = 1"))
    assert "own.toml is not" in problem and "line 1" in problem


def test_the_config_of_a_run_can_be_read_again(tmp_path):
    config = load_config("smoke", ["seed=4"])
    write_config(tmp_path, config, {"kind": "anything"})
    assert load_config(str(tmp_path / "config.json")) == config
    assert load_config(str(tmp_path / "config.json"), ["batch_size=8"]).tournament.batch_size == 8


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ("sede = 1", "sede", "seed"),
        ("[tournment]\nsteps = [1]", "tournment", "tournament"),
        ("[compute]\nthread = 1", "compute.thread", "threads"),
        ("[curriculum.plateau]\nwindow_step = 8", "curriculum.plateau.window_step", "window_steps"),
    ],
)
def test_unknown_key_names_the_closest(tmp_path, text, key, meant):
    (problem,) = _problems(_file(tmp_path, text))
    assert f"unknown key '{key}'; did you mean '{meant}'?" in problem


def test_unknown_override_names_the_closest():
    (problem,) = _problems("smoke", "learning_rat=0.1")
    assert "unknown key 'learning_rat'" in problem and "did you mean 'learning_rate'?" in problem


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_a_renamed_key_says_its_new_name(tmp_path, old, new):
    section = next(name.rpartition(".")[0] for name in leaves(Config) if name.split(".")[-1] == new)
    says = f"unknown key '{section}.{old}': it is now '{section}.{new}'"
    assert says in _problems(_file(tmp_path, f"[{section}]\n{old} = 1"))[0]
    assert f"unknown key '{old}' in '{old}=1': it is now '{new}'" in _problems("smoke", f"{old}=1")[0]
    assert f"it is now '{section}.{new}'" in _problems("smoke", f"{section}.{old}=1")[0]
    assert not any(name.split(".")[-1] == old for name in leaves(Config))


def test_words_that_fit_no_config_are_refused_whatever_it_is():
    check_overrides(["steps=[1]", "keep=[5,5,1]"], "tournament")  # what no config can mend is a matter of the whole
    with pytest.raises(BadInput) as caught:
        check_overrides(["stepz=[1]", "batch_size=many", "tournament.seeds=0"], "tournament")
    assert len(caught.value.problems) == 3


def test_wrong_type_names_key_and_value(tmp_path):
    (problem,) = _problems(_file(tmp_path, '[compute]\nthreads = "four"'))
    assert "'compute.threads' = 'four'" in problem and "integer" in problem
    (problem,) = _problems("smoke", "seed=1.5")
    assert "'seed' = 1.5" in problem
    (problem,) = _problems("smoke", "device=tpu")
    assert "'compute.device' = 'tpu'" in problem and "cuda" in problem


def test_no_silent_conversions():
    assert "'seed' = '1'" in _problems("smoke", 'seed="1"')[0]
    assert "'seed' = true" in _problems("smoke", "seed=true")[0]
    assert "'compute.compile' = 1" in _problems("smoke", "compile=1")[0]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("mix={tinystories=0.5, fineweb_edu=0.55}", "tournament.mix: ratios sum to 1.05, not 1; divide each by 1.05"),
        ("mix={tinystory=1.0}", "unknown source 'tinystory'; did you mean 'tinystories'?"),
        ("mix={tinystories=1.2, personal=-0.2}", "the ratio of 'personal' is -0.2"),
        ("steps=[0,10,20]", "tournament.steps = [0, 10, 20]: every round needs at least 1 step"),
        ("steps=[10,-5,20]", "every round needs at least 1 step"),
        ("steps=[10,20]", "tournament.steps has 2 rounds but tournament.keep 3"),
        ("keep=[5,5,1]", "tournament.keep = [5, 5, 1]: each round must keep fewer"),
        ("keep=[3,1,0]", "each round must keep fewer than the one before, at least 1"),
        ("keep=[5,3,2]", "tournament.keep = [5, 3, 2]: the last round must keep 1"),
        (
            "tournament.gradient_accumulation_steps=3",
            "tournament.batch_size 4 is not a multiple of tournament.gradient_accumulation_steps 3",
        ),
        ("workers=3", "curriculum.batch_size 4 cannot be shared by 3 workers"),
        ("min_workers=2", "compute.min_workers 2 is above compute.workers 1"),
        ("window_steps=3", "plateau.window_steps 3 must hold at least 4 evaluations"),
        ("min_steps=16", "plateau.min_steps 16 is above curriculum.max_steps 15"),
        ("curriculum.warmup_steps=16", "curriculum.warmup_steps 16 is above curriculum.max_steps 15"),
        ("done_gain=0.08", "plateau.done_gain 0.08 must be below plateau.go_on_gain 0.08"),
        ("precision=fp16", "fp16 needs a GPU"),
    ],
)
def test_impossible_relation(override, says):
    (problem,) = _problems("smoke", override)
    assert says in problem


def test_ratios_may_miss_one_by_rounding():
    assert load_config("smoke", ["mix={tinystories=0.1, personal=0.2, sft=0.7}"]).tournament.mix["sft"] == 0.7


def test_all_problems_of_relations_come_at_once():
    problems = _problems("smoke", "steps=[0,1,2]", "keep=[5,3,2]", "mix={sft=0.5}", "workers=3")
    assert len(problems) == 4


def test_problems_of_every_kind_come_at_once(tmp_path):
    path = _file(tmp_path, 'sede = 1\n[compute]\nthreads = "x"\n[data]\nheldout_fraction = 0.9\n')
    problems = _problems(path, "stepz=[1]", "lr_scale=0", "keep=[5,3,2]")
    words = ("'sede'", "'compute.threads'", "'data.heldout_fraction'", "'stepz'", "'lr_scale'", "tournament.keep")
    assert [sum(word in problem for problem in problems) for word in words] == [1] * 6
    assert len(problems) == 6


def test_bare_override_is_looked_for_in_the_section_first():
    league = load_config("smoke", ["steps=[1,2,3]", "batch_size=6"], "tournament")
    assert league.tournament.steps == (1, 2, 3)
    assert (league.tournament.batch_size, league.curriculum.batch_size) == (6, 4)
    stages = load_config("smoke", ["batch_size=6"], "curriculum")
    assert (stages.tournament.batch_size, stages.curriculum.batch_size) == (4, 6)


@pytest.mark.parametrize("section", ["tournament", "curriculum"])
def test_bare_override_finds_a_unique_key_anywhere(section):
    config = load_config("smoke", ["window_steps=40", "clip=0.25", "seed=7"], section)
    assert config.curriculum.plateau.window_steps == 40
    assert (config.optimizer.clip, config.seed) == (0.25, 7)


@pytest.mark.parametrize(
    ("section", "word", "full"),
    [
        ("curriculum", "mix={sft=1.0}", "tournament.mix"),
        ("curriculum", "patience=3", "finetuning.patience"),
        ("tournament", "window_steps=40", "curriculum.plateau.window_steps"),
    ],
)
def test_a_commands_bare_key_of_a_section_that_it_does_not_read_is_refused_with_the_way_out(section, word, full):
    with pytest.raises(BadInput, match=f"this command does not read: leave it out, or write {full}=") as error:
        load_config("smoke", [word, "stepz=1"], section, is_command=True)
    assert len(error.value.problems) == 2
    with pytest.raises(BadInput, match="does not read"):
        check_overrides([word], section)
    in_full = qualified(word)
    assert in_full.startswith(f"{full}=")
    assert load_config("smoke", [in_full], section, is_command=True) == load_config("smoke", [word], section)
    load_config("smoke", ["max_epochs=3"], "tournament", is_command=True)  # which a league of mixes reads


def test_dotted_override():
    words = ["data.path=some/folder", "curriculum.batch_size=2", "curriculum.plateau.strikes=5"]
    config = load_config("laptop", words)
    assert config.data.path == "some/folder"
    assert (config.curriculum.batch_size, config.tournament.batch_size) == (2, 8)
    assert config.curriculum.plateau.strikes == 5


def test_ambiguous_override_lists_its_places():
    (problem,) = _problems("smoke", "seq_len=32", section="data")
    assert "ambiguous: write one of tournament.seq_len, curriculum.seq_len" in problem


def test_override_values_are_toml_and_bare_words_strings():
    config = load_config(
        "smoke",
        [
            "learning_rate=3e-4",
            "contestants=['v01_dense_small']",
            "mix={sft=0.25, personal=0.75}",
            "activation_checkpointing=true",
            "builtin_characters=1_000",
            'local_path="a=b"',
            "tokenizer=org/name",
        ],
    )
    assert config.tournament.learning_rate == 0.0003
    assert config.tournament.contestants == ("v01_dense_small",)
    assert config.tournament.mix == {"sft": 0.25, "personal": 0.75}
    assert config.compute.activation_checkpointing is True
    assert config.data.builtin_characters == 1000
    assert (config.data.local_path, config.data.tokenizer) == ("a=b", "org/name")


def test_override_beats_file_and_the_last_one_wins(tmp_path):
    assert load_config(_file(tmp_path, "seed = 1"), ["seed=2", "seed=3"]).seed == 3


def test_closest():
    assert did_you_mean("steps", ["stepz", "keep"]) == "did you mean 'stepz'?"
    assert did_you_mean("qqq", ["stepz", "keep"]) == "known: stepz, keep"

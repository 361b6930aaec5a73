"""Fine-tuning: conversations do not see each other, a kill changes nothing, the best weights are kept, turns end."""

import json
import shutil

import pytest
import torch
from event_files import Events, rises

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END
from hamner.inference.find_model import find_checkpoint, load, open_model
from hamner.inference.generate import Sampling, prompt_ids, stream
from hamner.runs.files import read_json
from hamner.runs.folders import write_config
from hamner.training import checkpoint
from hamner.training.finetuning import FinetuningRun
from hamner.training.finetuning_launch import new_run, prepare, resumed_run
from hamner.training.reply_loss import ReplyObjective


@pytest.fixture
def start(base_results):
    """start(name, *words, **arguments of FinetuningRun) -> a new fine-tuning of the base, opened."""
    made = []

    def opened(name, *words, **arguments):
        base = base_results / "curriculum" / "mini"
        config = load_config(str(base / "config.json"), words, "finetuning")
        run = new_run(base_results, name, "mini", config, find_checkpoint(base))
        made.append(run.folder)
        write_config(run.folder, run.config, run.facts)
        prepare(run, lambda line: None)
        return FinetuningRun(run.folder, say=lambda line: None, **arguments)

    yield opened
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


def stop_after(steps):
    """A stop request that comes true after so many steps."""
    left = iter([False] * (steps - 1) + [True] * 1000)
    return lambda: next(left)


def finish(run):
    assert run.run()
    run.close()
    return read_json(run.folder / "finetuning.json")


def metrics(run):
    lines = (run.folder / "metrics.csv").read_text().splitlines()
    return [line.split(",")[:6] for line in lines]  # step and losses


def test_no_conversation_of_a_row_sees_another(start):
    """The hidden states of a conversation are the same whatever the others in its row say."""
    run = start("alone")
    hamner = run.session.trainer.hamner.eval()
    rows = run.conversations.heldout("identity", 4)
    ids = torch.where(rows < 0, ~rows, rows)
    row = next(row for row in ids if (row == END_OF_TEXT).nonzero()[0] < len(row) // 2)[None]
    end = int((row[0] == END_OF_TEXT).nonzero()[0])
    changed = row.clone()
    changed[0, 2 : end - 2] = (changed[0, 2 : end - 2] + 7) % 500 + 20
    before, after = (hamner.hidden_states(tokens)[0] for tokens in (row, changed))
    assert torch.equal(before[0, end + 1 :], after[0, end + 1 :])
    assert not torch.equal(before[0, 3:end], after[0, 3:end])


@pytest.mark.parametrize("killed_after", [1, 5, 11])
def test_a_stopped_run_goes_on_bit_for_bit(start, base_results, killed_after):
    whole = start("whole")
    expected = finish(whole)
    stopped = start("stopped", stop_requested=stop_after(killed_after))
    assert not stopped.run()
    stopped.close()
    again, said = resumed_run(base_results, "stopped", None, None), []
    resumed = FinetuningRun(again.folder, say=said.append)
    document = finish(resumed)
    assert said[0] == f"step {stopped.session.global_step} of 12"
    for key in ("looks", "steps", "best_step", "mix", "tokens", "before"):
        assert document[key] == expected[key], key
    assert metrics(resumed) == metrics(whole) and len(metrics(whole)) == 13
    curves = [Events(run.folder / "tensorboard") for run in (whole, resumed)]
    assert curves[0].tags() == curves[1].tags() and curves[0].steps("heldout/loss")[0] == 0
    for tag in curves[0].tags():
        assert curves[0].steps(tag) == curves[1].steps(tag) and rises(curves[1].steps(tag)), tag
    weights = [find_checkpoint(run.folder).tensors("model") for run in (whole, resumed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_base_is_where_it_starts_and_final_is_read_as_the_base_was(start, base_results):
    run = start("final")
    document = finish(run)
    base, final = load("mini", results=base_results), load("final", results=base_results)
    assert final.model.config == base.model.config and not final.model.config.document_mask
    assert document["after"]["loss"] < document["before"]["loss"]
    assert final.tokenizer.sha256 == base.tokenizer.sha256
    assert load(results=base_results).folder == run.folder / "final"  # the newest run
    state = json.loads((run.folder / "final" / "state.json").read_text())
    assert state["step"] == document["best_step"]


def test_the_best_weights_are_kept_and_no_better_look_ends_the_run(start):
    """At so high a rate the held-out loss jumps up and down."""
    run = start("worse", "learning_rate_factor=60", "patience=2", "max_steps=40", "evaluations=40", "eval_sequences=4")
    document = finish(run)
    losses = [look["loss"] for look in document["looks"]]
    best = losses.index(min(losses))
    assert document["ended"].startswith("early") and document["steps"] < document["planned_steps"]
    assert len(losses) == best + 3 and document["best_step"] == document["looks"][best]["step"]
    saved = checkpoint.load(run.session.checkpoints / checkpoint.step_name(document["best_step"])).tensors("model")
    final = find_checkpoint(run.folder).tensors("model")
    assert all(torch.equal(saved[name], final[name]) for name in saved)


def test_the_mix_is_as_asked_for_and_replay_may_be_left_out(start):
    mix = start("mix", "replay=0.5", "identity=0.25").plan.mix
    assert set(mix) == {"builtin", "habits", "everyday", "identity", "tinystories", "synthetic"}
    assert mix["tinystories"] == pytest.approx(3 * mix["synthetic"], rel=0.1)  # as the base has read
    assert mix["identity"] == pytest.approx((mix["builtin"] + mix["habits"] + mix["everyday"]) / 3)
    assert mix["habits"] == pytest.approx(1.5 * mix["builtin"])
    assert set(start("no-replay", "replay=0", "identity=0").plan.mix) == {"builtin", "habits", "everyday"}


def test_gradient_accumulation_trains_the_same(start):
    losses = []
    for name, parts in (("one", 1), ("parts", 4)):
        run = start(name, f"finetuning.gradient_accumulation_steps={parts}", "max_steps=3")
        finish(run)
        losses.append([float(line[1]) for line in metrics(run)[1:]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


BAD = {
    "length": (["finetuning.seq_len=4096"], "exceed the model's max_seq_len"),
    "parts": (["finetuning.batch_size=6", "finetuning.gradient_accumulation_steps=4"], "6 is not a multiple of"),
    "source": (["sources={soup=1.0}"], "unknown source 'soup'"),
    "identity": (["identity_file=/none.toml"], "there is no file /none.toml"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_refused_before_anything_is_written(base_results, case):
    words, problem = BAD[case]
    base = base_results / "curriculum" / "mini"
    config = load_config(str(base / "config.json"), words, "finetuning")
    with pytest.raises(BadInput, match=problem):
        new_run(base_results, "bad", "mini", config, find_checkpoint(base))
    assert not (base_results / "sft" / "bad").exists()


def test_a_base_without_text_can_be_tuned_without_replay(start, base_results, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(base_results / "curriculum" / "mini" / "final", alone)
    config = load_config(str(base_results / "curriculum" / "mini" / "config.json"), ["replay=0"], "finetuning")
    with pytest.raises(BadInput, match=r"no prepared text beside it to replay: .* finetuning.replay=0"):
        new_run(tmp_path, "friend", None, load_config("smoke"), checkpoint.load(alone))
    run = new_run(tmp_path, "friend", None, config, checkpoint.load(alone))
    write_config(run.folder, run.config, run.facts)
    prepare(run, lambda line: None)
    document = finish(FinetuningRun(run.folder, say=lambda line: None))
    assert document["steps"] == 12


def test_a_base_that_changed_is_not_gone_on_from(start, base_results):
    run = start("changed", stop_requested=lambda: True)
    document = read_json(run.folder / "config.json")
    assert document["base"]["state_sha256"]
    document["base"]["state_sha256"] = "other"
    (run.folder / "config.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match="has changed since the fine-tuning was started"):
        FinetuningRun(run.folder, say=lambda line: None).run()


class WithoutTurnEnds(ReplyObjective):
    """The loss on the words of the replies, which never says that a turn ends."""

    def forward(self, tokens):
        return super().forward(torch.where(tokens == MESSAGE_END, ~tokens, tokens))


def share_ended(run, most=40, count=30):
    """Share of sampled replies that end by themselves."""
    loaded, ended = open_model(run.folder), 0
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        ids = prompt_ids(loaded.tokenizer, (("user", f"Hello, how are you? {seed}"),))
        ended += len(list(stream(loaded.model, ids, most, Sampling(), generator))) < most
    return ended / count


@pytest.mark.slow
def test_a_friend_whose_turn_ends_are_not_trained_rambles(start):
    settings = ("max_steps=150", "learning_rate_factor=1", "evaluations=2", "finetuning.batch_size=8", "log_every=50")
    tuned, rambling = start("tuned", *settings), start("rambling", *settings, objective=WithoutTurnEnds)
    ends = [finish(run)["after"]["end_loss"] for run in (tuned, rambling)]
    assert ends[0] < 1.5 < 3 < ends[1]
    assert share_ended(tuned) > 0.8 and share_ended(rambling) < 0.4

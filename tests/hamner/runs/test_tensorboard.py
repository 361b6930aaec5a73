"""Event files, read back with TensorBoard's own reader: tags in groups, units, HPARAMS, no point twice after kills."""

import html
import re
import shutil

import numpy as np
import pytest
from event_files import Events, rises

from hamner.runs.tensorboard import TAGS, Curves, literal

ROW = {"step": 1, "phase": "a", "loss": 2.5, "heldout_loss": 3.0, "tokens_per_second": 512.0, "gain": None, "mfu": 0.5}


def test_a_row_is_drawn_in_groups_with_units_and_without_what_has_no_tag(tmp_path):
    curves = Curves(tmp_path)
    curves.row(ROW, 1)
    curves.close()
    events = Events(tmp_path)
    assert events.tags() == ["heldout/loss", "speed/mfu", "speed/tokens_per_second", "train/loss"]
    assert events.points("heldout/loss") == [(1, 3.0)] and events.points("train/loss") == [(1, 2.5)]
    descriptions = events.descriptions()
    assert all("nats per token" in descriptions[tag] for tag in ("heldout/loss", "train/loss"))
    assert "tokens per second" in descriptions["speed/tokens_per_second"]


def test_one_tag_is_one_quantity_and_what_decides_sorts_first():
    tags = [tag for tag, _ in TAGS.values()]
    assert len(set(tags)) == len(tags) and all(description for _, description in TAGS.values())
    assert {tag.partition("/")[0] for tag in tags} == {"heldout", "plateau", "speed", "train"}
    assert min(tags).startswith("heldout/")


def test_a_writer_that_fails_says_so_where_it_is_used_and_prints_no_traceback_of_its_thread(tmp_path, capfd):
    curves = Curves(tmp_path / "curves")
    curves.row(ROW, 1)
    shutil.rmtree(tmp_path / "curves")  # as a disk that may not be written to any more
    with pytest.raises(OSError, match=r"No such file or directory: .*tfevents"):  # the flush, or the one after
        for step in range(2, 5):
            curves.row(ROW, step)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kills", [(3, 7, 7, 12, 14), (0, 0, 4, 4, 5)])
def test_after_five_kills_no_point_comes_twice_and_none_goes_back(tmp_path, kills):
    """Each life writes on until it is killed, 3 steps beyond the checkpoint from which the next one continues."""
    layout = {"test": {"loss": ["Multiline", ["train/loss"]]}}
    for resume_step, life in zip((0, *kills), (*kills, 17), strict=True):
        curves = Curves(tmp_path, resume_step=resume_step, layout=layout)
        curves.hparams({"width": 8}, "group")
        if resume_step == 0:
            curves.row({"heldout_loss": 9.0}, 0)
        for step in range(resume_step + 1, life + 4):
            curves.row({"loss": 1 / step, "heldout_loss": 2.0 if step % 2 else None}, step)
            curves.scalars({"heldout/of_sources_at_borders/stories": 1.0}, step, "a description")
            curves.texts({"samples/Once": f"upon {step}"}, step)
            curves.image("skills/matrix", np.zeros((2, 2, 3), np.uint8), step)
        if life == 17:
            curves.close()
    events = Events(tmp_path)
    assert events.steps("train/loss") == list(range(1, 21))
    assert events.steps("heldout/loss") == [0, *range(1, 21, 2)]
    for tag in events.tags():
        assert rises(events.steps(tag)), tag
    assert list(events.session_groups()) == ["group"]


def test_hparams_are_a_row_a_contestant_with_all_keys_and_no_metric_empty(tmp_path):
    for name, width in (("small", 8), ("small-seed1", 8), ("wide", 16)):
        curves = Curves(tmp_path / name)
        curves.hparams({"width": width, "attention": "grouped", "mask": name == "wide"}, name.removesuffix("-seed1"))
        curves.row({"heldout_loss": 9.0 if "seed" in name else 7.0}, 0)
        curves.row({"loss": 5.0, "tokens_per_second": 10.0}, 1)
        curves.close()
    groups = Events(tmp_path).session_groups()
    assert sorted(groups) == ["small", "wide"]
    hparams, metrics, sessions = groups["small"]
    assert hparams == {"width": 8.0, "attention": "grouped", "mask": False}
    assert sessions == ["small", "small-seed1"] and metrics["heldout/loss"] == 8.0
    for hparams, metrics, _ in groups.values():
        assert set(hparams) == {"width", "attention", "mask"}
        assert set(metrics) == {"heldout/loss", "train/loss", "speed/tokens_per_second"}


@pytest.mark.parametrize(
    "text",
    [
        "# no heading\n- no list\n1. one",
        "*a* _b_ `c` ~~d~~ <b>e</b> [f](g) & &amp; \\",
        "a | b\n---|---\n    x",
        "\n\n    *x*\n~~~\n\t~y~",
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a library that TensorBoard brings along
def test_a_sample_is_shown_letter_for_letter(text):
    from tensorboard.plugin_util import markdown_to_safe_html

    page = markdown_to_safe_html(literal(text))
    shown = html.unescape(re.sub(r"<[^>]*>", "", page))
    assert shown.split() == text.split()
    assert set(re.findall(r"<(\w+)", page)) <= {"p", "br"}

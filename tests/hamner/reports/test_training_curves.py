"""What is drawn of a run: its own numbers, a line of each contestant, borders, samples; at terminals, as pictures."""

import math
import re

import pytest
from page_reader import Page
from training_runs import PROMPT, write_curriculum, write_finetuning, write_league

from hamner.config.errors import BadInput
from hamner.reports.training_curves import column, read_training_curves
from hamner.reports.training_plots import MOST_POINTS, curves_page, standalone_svg, thinned, whole_chart
from hamner.reports.training_view import training_view
from hamner.runs.metrics import read_metrics


def _panel(curves, title):
    return next(panel for panel in curves.panels if panel.title == title)


def test_a_curriculum_has_its_losses_and_no_line_from_one_stage_to_the_next(tmp_path):
    folder = write_curriculum(tmp_path)
    curves = read_training_curves(folder)
    assert [panel.title for panel in curves.panels] == ["Loss", "Perplexity", "Learning rate", "Throughput"]
    lines = _panel(curves, "Loss").lines
    assert [line.name for line in lines] == ["training", "held out", "held out"]
    assert [[step for step, _ in line.points] for line in lines[1:]] == [[4, 8, 12], [16, 20]]
    assert lines[0].points == column(read_metrics(folder), "mean_loss") and len(lines[0].points) == 20
    assert curves.borders == ((0, "structure"), (12, "voice")) and curves.step == 20
    logarithms = [math.log(value) for line in _panel(curves, "Perplexity").lines for _, value in line.points]
    assert logarithms == pytest.approx([loss for line in lines[1:] for _, loss in line.points])


def test_the_samples_are_of_one_prompt_the_last_of_each_stage(tmp_path):
    folder = write_curriculum(tmp_path)
    with (folder / "samples.jsonl").open("a") as file:
        file.write('{"step": 21, "sta')  # a kill cut it short
    samples = read_training_curves(folder).samples
    assert [(s.step, s.stage, s.prompt) for s in samples] == [(12, "structure", PROMPT), (20, "voice", PROMPT)]
    assert samples[-1].text == " there was a fox 20"


def test_a_league_has_a_line_of_each_run_and_no_run_of_another_league(tmp_path):
    league = write_league(tmp_path, "first")
    write_league(tmp_path, "second", ("other",))
    (league / "deep" / "probe+0").mkdir()
    (league / "deep" / "probe+0" / "metrics.csv").write_text("step,round,loss\n1,1,99\n")
    curves = read_training_curves(league)
    lines = _panel(curves, "Held-out loss").lines
    assert [line.name for line in lines] == ["deep", "deep", "wide", "wide"]  # two seeds each, each a line of its own
    assert [len(line.points) for line in lines] == [5, 5, 10, 10]
    assert curves.borders == ((0, "round 1"), (5, "round 2")) and curves.is_league
    assert max(value for _, value in _panel(curves, "Training loss").lines[0].points) < 8


def test_a_contestant_and_a_fine_tuning_are_drawn_as_well(tmp_path):
    contestant = read_training_curves(write_league(tmp_path) / "wide")
    lines = _panel(contestant, "Loss").lines
    assert [(line.name, len(line.points)) for line in lines] == [
        ("training", 10),
        ("held out", 10),
        ("held out, ranked", 2),
    ]
    tuned = read_training_curves(write_finetuning(tmp_path))
    assert [line.name for line in _panel(tuned, "Loss").lines] == [
        "training",
        "held out",
        "words of replies",
        "turn ends",
    ]
    assert tuned.borders == () and tuned.samples == ()
    assert [panel.title for panel in tuned.panels] == ["Loss", "Perplexity", "Learning rate"]  # no speed was written


@pytest.mark.parametrize("text", [None, "", "step,loss\n", "step,loss\n1", "loss\n3\n"])
def test_a_folder_without_a_row_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(BadInput, match="has no curves yet"):
        read_training_curves(tmp_path)


def test_a_run_of_the_version_before_has_its_speed(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,phase,loss,tokens_per_sec\n1,a,3.0,77\n")
    assert _panel(read_training_curves(tmp_path), "Throughput").lines[0].points == ((1, 77),)


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("write", [write_curriculum, write_league, write_finetuning])
def test_the_view_fits_the_terminal_and_says_the_newest_numbers(tmp_path, write, width, ascii_only):
    curves = read_training_curves(write(tmp_path))
    lines = training_view(curves, width, 24, ascii_only=ascii_only)
    assert all(len(line) <= width for line in lines) and len(lines) <= 24
    assert not ascii_only or all(line.isascii() for line in lines)
    text = "\n".join(lines)
    if width >= 80 and curves.is_league:
        assert re.findall(r"^(\w+) +(\d\.\d+) at step (\d+)", text, re.M)[:2] == [
            ("wide", "5.0000", "10"),
            ("wide", "5.0100", "10"),
        ]
    elif width >= 80:
        newest = [f"{panel.lines[0].points[-1][1]:.4g}" for panel in curves.panels[:1]]
        assert all(value in text for value in newest) and curves.name in text


def test_many_points_become_means_that_keep_the_curve():
    points = [(float(step), float(step) ** 0.5) for step in range(12_345)]
    few = thinned(points)
    assert len(few) == MOST_POINTS and [x for x, _ in few] == sorted(x for x, _ in few)
    assert max(abs(y - x**0.5) for x, y in few[5:]) < 0.1
    assert thinned(points[:7]) == points[:7]


def test_the_page_is_self_contained_and_its_tables_hold_the_runs_numbers(tmp_path):
    folder = write_curriculum(tmp_path, "it's <mine> & $yours$")
    page = Page(curves_page(read_training_curves(folder)))
    page.check_self_contained()
    rows = [row for row in page.table("newest")[1:]]
    assert rows[0] == ["training", "4.9", "3.8", "4", "20"]
    assert "there was a fox 20" in page.text and "it's <mine> & $yours$" in page.text


def test_the_svg_stands_alone_in_both_themes(tmp_path):
    from xml.etree import ElementTree

    text = standalone_svg(whole_chart(read_training_curves(write_league(tmp_path))))
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    used = set(re.findall(r"var\((--\w+)\)", text))
    defined = [set(re.findall(r"(--\w+): #", theme)) for theme in text.split("prefers-color-scheme: dark")]
    assert used and all(used <= of_theme for of_theme in defined)
    titles = " ".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title"))
    assert "wide: 5 nats per token at step 10" in titles

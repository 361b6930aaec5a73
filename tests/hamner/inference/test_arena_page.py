"""The arena in a real browser: ten votes by keyboard alone, blind, announced, on a desk and on a phone."""

import re

import pytest
from served import endless_model, running, wait_until

from hamner.inference.server_app import Extras, Served
from hamner.runs.votes import read_votes

pytestmark = pytest.mark.slow
PHONE = {"viewport": {"width": 360, "height": 700}, "is_mobile": True, "has_touch": True}
KEYS = {"left": "ArrowLeft", "right": "ArrowRight", "tie": "ArrowDown"}
READY = "#choices button:enabled"


@pytest.fixture
def arena(tmp_path):
    """(address, file of the votes) of an arena of two friends."""
    rival, votes = Served(endless_model(num_layers=2), "rival", "", 0, "abc"), tmp_path / "votes.jsonl"
    with running(endless_model(), extras=Extras(rivals=[rival], votes=votes)) as (address, _):
        yield f"{address}/arena", votes


def _wait_for_the_message(page):
    """Wait until a message can be typed; the page's content security policy allows no code in strings."""
    wait_until(lambda: page.evaluate("document.activeElement.id") == "message")


def test_ten_votes_by_keyboard_alone(visit, arena):
    """The rule of the votes: more words win, and those of like length are equal. The transcript is printed."""
    address, votes = arena
    page = visit(address, is_ready=False)
    _wait_for_the_message(page)
    cast, seen = [], []
    for number in range(10):
        if number % 2:
            page.keyboard.type(f"the fox {number}")
        page.keyboard.press("Enter")  # an empty message is the one suggested
        page.wait_for_selector(READY)
        left, right = (page.inner_text(f"#{side}") for side in ("left", "right"))
        assert "rival" not in page.content() and "mine" not in page.content()
        said = " ".join(page.inner_text("#status").split())
        assert said.startswith(f"Left: {' '.join(left.split())[:20]}")
        gap = len(left) - len(right)
        choice = "tie" if abs(gap) < 20 else "left" if gap > 0 else "right"
        seen.append((page.inner_text("#asked"), len(left), len(right), choice))
        page.keyboard.press(KEYS[choice])
        wait_until(lambda count=number + 1: votes.is_file() and len(read_votes(votes)) == count)
        _wait_for_the_message(page)
        cast.append(choice)
    for row in seen:
        print(*row, sep="\t")
    found = read_votes(votes)
    assert [vote.choice for vote in found] == cast and "10 votes so far" in page.inner_text("#votes")
    assert {vote.left for vote in found} == {"mine", "rival"}  # both orders were shown
    assert seen[0][0] == "“Hello! How are you today?”" and seen[1][0] == "“the fox 1”"


def test_a_key_votes_once_and_only_while_a_round_waits(visit, arena):
    address, votes = arena
    page = visit(address, is_ready=False)
    _wait_for_the_message(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_selector(READY)
    page.focus("#message")
    page.keyboard.type("ab")
    page.keyboard.press("ArrowLeft")  # moves in the text that is being written
    page.wait_for_timeout(200)
    assert not votes.exists()
    page.click("[data-choice='tie']")
    wait_until(lambda: votes.exists())
    page.keyboard.press("Escape")
    page.fill("#message", "")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert [vote.choice for vote in read_votes(votes)] == ["tie"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [{"viewport": {"width": 1100, "height": 750}}, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_to_complain_of_and_nothing_is_too_wide(visit, arena, scheme, device):
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install '.[browser]'")
    page = visit(arena[0], is_ready=False, color_scheme=scheme, **device)

    def violations():
        found = axe_module.Axe().run(page).response["violations"]
        return [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found]

    assert violations() == []
    page.fill("#message", "W" * 90)
    page.press("#message", "Enter")
    page.wait_for_selector(READY)
    assert violations() == []
    assert page.evaluate("document.documentElement.scrollWidth === innerWidth")


def test_the_conversations_lead_to_the_arena_and_trouble_is_said(visit, tmp_path):
    extras = Extras(rivals=[Served(endless_model(num_layers=2), "rival", "", 0, "abc")], votes=tmp_path / "votes.jsonl")
    with running(endless_model(), places=1, queue=0, extras=extras) as (address, app):
        page = visit(address)
        page.click("#arena")
        page.wait_for_url(re.compile("/arena$"))
        _wait_for_the_message(page)
        app.state.streams.places = 0  # all are taken
        page.keyboard.press("Enter")
        wait_until(lambda: "Ask again in" in page.inner_text("#asked"))
        assert page.locator(READY).count() == 0

"""The report of a league and the page of all runs in a real browser: on a desk, on a phone, by day and by night."""

import pytest
from played import MANY, league_of, play, rename

from tournament.league_report import write_league_report

pytestmark = pytest.mark.slow
DEVICES = {
    "desk": {"viewport": {"width": 1200, "height": 850}},
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
}
LONG = "<script>alert('x')</script>" + "w" * 200


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """Pages of a finished league, of one of 40 with long names and failures, of one that was killed, of all runs."""
    results = tmp_path_factory.mktemp("results")
    league = play(league_of(results / "tournament" / "ten", "seeds=2", "lr=probe"))
    assert league.close("")
    folder = results / "tournament" / "forty"
    failing = {MANY[place]: kind for place, kind in ((3, "oom"), (5, "error"), (7, "diverged"))}
    assert play(league_of(folder, "keep=[20,8,1]", "seeds=1", names=MANY), failing=failing).close("")
    rename(folder, "c00", LONG)
    rename(folder, "c07", "W" * 200)
    play(league_of(results / "tournament" / "half", "seeds=1"), reports=12)
    pages = [write_league_report(path) for path in (results / "tournament").iterdir()]
    return [path.as_uri() for path in [*pages, results / "index.html"]]


@pytest.fixture
def visit(browser):
    """A function that opens a page; it may ask for nothing else and write nothing to its console."""
    contexts, noise = [], []

    def visit(address, **settings):
        contexts.append(browser.new_context(offline=True, **settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("request", lambda request: noise.append(request.url) if request.url != address else None)
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert noise == []


OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(visit, addresses, scheme, device):
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install '.[browser]'")
    settings = DEVICES[device]
    for address in addresses:
        page = visit(address, color_scheme=scheme, **settings)
        page.evaluate(OPEN_ALL)
        assert page.evaluate("document.documentElement.scrollWidth") <= settings["viewport"]["width"], address
        found = axe_module.Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found] == [], address


def test_the_first_screen_of_a_desk_holds_verdict_bracket_cost_and_the_next_command(visit, addresses):
    page = visit(next(address for address in addresses if "/ten/" in address), **DEVICES["desk"])
    bottoms = {
        name: page.eval_on_selector(name, "one => one.getBoundingClientRect().bottom")
        for name in (".lead", ".facts", ".bracket", "pre")
    }
    assert max(bottoms.values()) <= 850, bottoms


def test_colours_follow_the_theme_and_text_stays_text(visit, addresses):
    address = next(address for address in addresses if "/ten/" in address)
    colours = []
    for scheme in ("light", "dark"):
        page = visit(address, color_scheme=scheme, **DEVICES["desk"])
        colours.append(page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill"))
        assert page.locator("figure svg text").first.text_content()
        assert page.locator("figure svg title").count() > 20
    assert colours[0] != colours[1]
    page = visit(address, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_keys_alone_reach_the_content_and_the_numbers(visit, addresses):
    page = visit(next(address for address in addresses if "/ten/" in address), **DEVICES["desk"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    page.focus("summary")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")

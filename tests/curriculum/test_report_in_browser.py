"""A curriculum's report in a real browser without a network: on a desk, on a phone, by day and by night."""

import pytest
from recorded_runs import change, kill_in_stage, recorded_run

from curriculum.report_files import write_run_report

pytestmark = pytest.mark.slow
PHONE = {"viewport": {"width": 360, "height": 700}, "is_mobile": True, "has_touch": True}
LONG = "a_name_of_" + "x" * 190


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of a finished run, of one killed in its third stage, of one with long names."""
    results = tmp_path_factory.mktemp("results")
    runs = {name: recorded_run(results, name) for name in ("whole", "killed", "long")}
    kill_in_stage(runs["killed"], 3, 260)
    change(runs["long"], "stages.json", lambda stages: stages["stages"][2].update(stage=LONG, forgotten={LONG: {}}))
    change(runs["long"], "config.json", lambda config: config.update(name=LONG))
    return {name: write_run_report(folder) for name, folder in runs.items()}


@pytest.mark.parametrize("name", ["whole", "killed", "long"])
@pytest.mark.parametrize("settings", [{}, PHONE, {"color_scheme": "dark"}], ids=["desk", "phone", "dark"])
def test_the_page_asks_for_nothing_says_no_error_and_is_no_wider_than_its_window(browser, pages, name, settings):
    context = browser.new_context(offline=True, **settings)
    page, requests, errors = context.new_page(), [], []
    page.set_default_timeout(120_000)
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(pages[name].as_uri())
    assert requests == [pages[name].as_uri()] and errors == []
    width = page.evaluate("window.innerWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.evaluate("[...document.querySelectorAll('.strip div')].map(one => one.scrollWidth - one.clientWidth)")
    assert len(boxes) == 9 and max(boxes) <= 1
    context.close()

"""The page in a real browser: a conversation from typing to export, on a desk and on a phone, by day and by night."""

import json

import pytest
from served import TOKENIZER, endless_model, running, wait_for_promise, wait_until

from hamner.data.feedback import read_feedback
from hamner.data.sources.file_formats import file_records
from hamner.data.sources.sft_conversations import SFT
from hamner.inference.find_model import load
from hamner.inference.server_app import Extras

pytestmark = pytest.mark.slow
REPLY = "#messages li:last-child.assistant:not(.writing)"
PHONE = {"viewport": {"width": 360, "height": 700}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def address(model_results):
    with running(load("mine", results=model_results)) as (address, _):
        yield address


def _say(page, text):
    page.fill("#message", text)
    page.press("#message", "Enter")
    page.wait_for_selector(REPLY)


def _texts(page):
    return page.locator("#messages .text").all_text_contents()


def test_a_conversation_from_typing_to_export(visit, address, tmp_path):
    page = visit(address)
    assert page.locator("#hello").is_visible() and "expect little" in page.inner_text("#promise")
    page.fill("#message", "hello")
    page.press("#message", "Shift+Enter")
    page.type("#message", "<b>there</b>")
    page.press("#message", "Enter")
    page.wait_for_selector(REPLY)
    first = _texts(page)
    assert first[0] == "hello\n<b>there</b>" and len(first) == 2 and page.locator("#messages b").count() == 0
    assert not page.locator("#hello").is_visible() and page.input_value("#message") == ""

    _say(page, "who are you?")
    before = _texts(page)
    page.click(f"{REPLY} .again")
    page.wait_for_selector(REPLY)
    assert _texts(page)[:3] == before[:3] and _texts(page)[3] != before[3]

    page.click(f"{REPLY} .up")
    page.hover("#messages li:nth-child(2)")
    page.click("#messages li:nth-child(2) .down")
    page.reload()
    page.click("#list .open")
    pressed = page.eval_on_selector_all("[aria-pressed='true']:is(.up, .down)", "all => all.map(one => one.className)")
    assert pressed == ["icon down", "icon up"] and _texts(page)[:3] == before[:3]

    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(tmp_path / "talk.json")
    ((_, record, _),) = list(file_records(tmp_path / "talk.json", SFT.keys))
    assert [content for _, content in SFT.parse(record).messages] == [text.strip() for text in _texts(page)]
    assert [message.get("thumb") for message in record["messages"]] == [None, "down", None, "up"]

    page.hover("#messages li:nth-child(1)")
    page.click("#messages li:nth-child(1) .edit")
    page.fill(".editor textarea", "the owl")
    page.press(".editor textarea", "Enter")
    page.wait_for_selector(f"#messages li:nth-child(2){REPLY.removeprefix('#messages li')}")
    assert _texts(page)[0] == "the owl" and len(_texts(page)) == 2  # what came after it is gone


def test_conversations_are_kept_named_deleted_and_brought_back(visit, address, tmp_path):
    page = visit(address)
    for text in ("hello", "the fox"):
        page.click("#new")
        _say(page, text)
    names = page.locator("#list .open")
    assert names.all_text_contents() == ["the fox", "hello"]
    page.hover("#list li:nth-child(2)")
    page.click("#list li:nth-child(2) .rename")
    page.keyboard.type("A greeting")
    page.keyboard.press("Enter")
    assert names.all_text_contents() == ["the fox", "A greeting"]
    page.click("#list li:nth-child(1) .delete")
    assert names.all_text_contents() == ["A greeting"] and page.locator("#hello").is_visible()
    page.click("#toast button")
    assert sorted(names.all_text_contents()) == ["A greeting", "the fox"]
    page.reload()
    assert sorted(names.all_text_contents()) == ["A greeting", "the fox"]
    with page.expect_download() as download:
        page.click("#export-all")
    download.value.save_as(tmp_path / "all.json")
    assert len(json.loads((tmp_path / "all.json").read_text())) == 2


def test_escape_and_the_button_stop_a_reply_and_the_server_writes_no_more(visit):
    slow = endless_model(num_layers=300)  # seconds for a whole reply, so that none ends before it is stopped
    with running(slow) as (address, app):
        page = visit(address)
        for stop in (lambda: page.keyboard.press("Escape"), lambda: page.click("#stop")):
            page.fill("#message", "hello")
            page.press("#message", "Enter")
            page.wait_for_selector("#messages li:last-child.writing .text:not(:empty)")
            assert not page.locator("#send").is_visible()
            stop()
            page.wait_for_selector(REPLY)
            assert page.inner_text(f"{REPLY} .note") == "Stopped." and page.inner_text(f"{REPLY} .text")
            wait_until(lambda: app.state.streams.counts == (0, 0))
            assert page.locator("#send").is_visible()
        page.fill("#message", "hello")
        page.press("#message", "Enter")
        page.wait_for_selector("#messages li:last-child.writing .text:not(:empty)")
        page.close()  # who leaves the page stops it too
        wait_until(lambda: app.state.streams.counts == (0, 0))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(visit, address, scheme):
    page = visit(address, color_scheme=scheme, **PHONE)

    def check():
        widths = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]")
        assert widths == [360, 360, 360]
        beyond = page.evaluate(
            "[...document.querySelectorAll('main *, dialog *, #toast')].filter(one => one.checkVisibility() && "
            "one.getBoundingClientRect().right > 360.5).map(one => one.outerHTML.slice(0, 80))"
        )
        assert beyond == []

    check()
    _say(page, "W" * 90)
    _say(page, "hello " * 20)
    check()
    page.tap("#options")
    check()
    page.keyboard.press("Escape")
    page.locator("#messages .edit").first.tap()
    check()
    page.locator(".editor .cancel").tap()
    page.tap("#menu")
    assert page.locator("#new").is_visible() and page.evaluate("document.getElementById('main').inert")
    check()
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('main').inert")
    assert page.evaluate("document.activeElement.id") == "menu"


def test_by_night_it_is_dark_and_the_choice_is_kept(visit, address):
    page = visit(address, color_scheme="dark")

    def brightness():
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))

    assert brightness() < 150
    page.click("#theme")
    assert brightness() > 600 and page.get_attribute("#theme", "aria-pressed") == "false"
    page.reload()
    assert brightness() > 600


def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit, address):
    page = visit(address)
    _say(page, "hello")
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        is_message = page.evaluate("document.activeElement.id") == "message"  # the box around it has the ring
        assert outline != "none" or is_message or page.evaluate("document.activeElement === document.body")
    assert reached >= {"new", "open", "icon rename", "icon delete", "export-all", "export", "options", "theme"}
    assert reached >= {"scroll", "icon edit", "icon up", "icon down", "icon fix", "icon again", "message", "send"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [{"viewport": {"width": 1100, "height": 750}}, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_to_complain_of(visit, address, scheme, device):
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install '.[browser]'")
    page = visit(address, color_scheme=scheme, **device)

    def violations():
        found = axe_module.Axe().run(page).response["violations"]
        return [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found]

    assert violations() == []
    _say(page, "hello")
    page.click(f"{REPLY} .up")
    assert violations() == []
    page.click("#options")
    assert violations() == []


def test_what_is_said_is_announced_once_it_is_whole(visit, address):
    page = visit(address)
    page.evaluate(
        "window.said = []; new MutationObserver(() => said.push(document.getElementById('status').textContent))"
        ".observe(document.getElementById('status'), {childList: true})"
    )
    _say(page, "hello")
    said = page.evaluate("window.said")
    assert said[0] == "Hamner is writing." and said[-1].endswith(_texts(page)[-1].strip()) and len(said) == 2


def test_a_token_is_asked_for_and_kept(visit, model_results):
    with running(load("mine", results=model_results), token="a-token-of-some-length") as (address, _):
        page = visit(address, is_ready=False)
        for word in ("wrong", "a-token-of-some-length"):
            page.wait_for_selector("#door[open]")
            page.fill("#token", word)
            page.press("#token", "Enter")
        wait_for_promise(page)
        _say(page, "hello")
        page.reload()
        _say(page, "hello")
        assert len(_texts(page)) == 2


def test_trouble_is_said_and_the_message_can_be_sent_again(visit):
    with running(endless_model(), places=1, queue=0) as (address, app):
        page = visit(address)
        streams = app.state.streams
        streams.places = 0  # all are taken
        _say(page, "hello")
        assert "Ask again in" in page.inner_text(f"{REPLY} .note") and _texts(page)[1] == ""
        streams.places = 1
        page.click(f"{REPLY} .again")
        page.wait_for_selector("#messages li:last-child:not(.failed):not(.writing) .text:not(:empty)")
        assert len(_texts(page)) == 2
    _say(page, "hello")
    assert "cannot be reached" in page.inner_text(f"{REPLY} .note")


def test_a_conversation_that_has_become_too_long_goes_on_and_says_so(visit, address):
    page = visit(address)
    words = "hello " * (150 // len(TOKENIZER.encode("hello ")))
    for _ in range(3):
        _say(page, words)
    assert "longer than I can read" in page.inner_text(f"{REPLY} .note")


def test_what_is_said_of_replies_is_kept_where_the_server_keeps_it(visit, tmp_path):
    with running(endless_model(), extras=Extras(feedback=tmp_path)) as (address, _):
        page = visit(address)
        assert str(tmp_path) in page.inner_text("#none")

        def kept(count):
            wait_until(lambda: len(read_feedback(tmp_path)) == count)
            return [each.kind for each in read_feedback(tmp_path)]

        _say(page, "hello")
        first = _texts(page)[1].strip()
        page.click(f"{REPLY} .up")
        assert kept(1) == ["good"]
        page.click(f"{REPLY} .down")
        wait_until(lambda: [each.kind for each in read_feedback(tmp_path)] == ["bad"])
        page.click(f"{REPLY} .down")
        kept(0)
        page.focus(f"{REPLY} .fix")  # by keyboard alone
        page.keyboard.press("Enter")
        page.keyboard.press("Control+A")
        page.keyboard.type("Hi! How was your day?")
        page.keyboard.press("Enter")
        assert kept(1) == ["fix"] and _texts(page)[1] == "Hi! How was your day?"
        assert page.evaluate("document.activeElement.className") == "icon fix"
        (fix,) = read_feedback(tmp_path)
        assert (fix.context, fix.reply, fix.better) == ((("user", "hello"),), first, "Hi! How was your day?")
        page.click(f"{REPLY} .again")
        page.wait_for_selector(REPLY)
        kept(2)
        again = next(each for each in read_feedback(tmp_path) if each.kind == "again")
        assert again.reply == "Hi! How was your day?" and _texts(page)[1] != again.reply


def test_a_correction_without_feedback_stays_in_the_browser(visit, address):
    page = visit(address)
    _say(page, "hello")
    page.click(f"{REPLY} .fix")
    page.fill(".editor textarea", "Hello to you.")
    page.press(".editor textarea", "Enter")
    page.reload()
    page.click("#list .open")
    assert _texts(page) == ["hello", "Hello to you."] and "Corrected by you." in page.inner_text(f"{REPLY} .note")
    assert "nowhere else" in page.locator("#none").text_content() and not page.locator("#arena").is_visible()

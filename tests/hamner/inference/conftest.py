"""What the tests of the pages share: a real browser that opens one."""

import re

import pytest
from served import wait_for_promise


@pytest.fixture
def visit(browser):
    """A function that opens an address; no page that it opens may write an error to its console."""
    contexts, errors = [], []

    def visit(address, is_ready=True, **settings):
        contexts.append(browser.new_context(**({"reduced_motion": "reduce"} | settings)))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        if is_ready:
            wait_for_promise(page)
        return page

    yield visit
    for context in contexts:
        context.close()
    expected = re.compile("status of 401|status of 429|ERR_CONNECTION_REFUSED")  # the browser's own lines
    assert [error for error in errors if not expected.search(error)] == []

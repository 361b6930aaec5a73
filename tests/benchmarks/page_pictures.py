"""Pictures of the page for results/reference: one real conversation with a served model, on a desk, a phone, by night.

    hamner serve friend --port 9000
    python tests/benchmarks/page_pictures.py http://127.0.0.1:9000 --out results/reference

Replies are drawn, so each run has others. Fonts are those of the machine.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

SAID = ("Good evening!", "It is raining here.", "My name is Anna. Who are you?")
EARLIER = ("I am building a bench.", "Hello! How are you today?")
DESK, PHONE = {"width": 1180, "height": 740}, {"width": 360, "height": 700}
COLOURS = 256  # of a picture: half its size


def say(page: Page, text: str) -> None:
    page.fill("#message", text)
    page.press("#message", "Enter")
    page.wait_for_selector("#messages li:last-child.assistant:not(.writing)", timeout=300_000)


def save(page: Page, path: Path) -> None:
    page.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, kmeans=2, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--out", type=Path, default=Path("results/reference"))
    parser.add_argument("--said", action="append", help="a message of the conversation; may be repeated")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        desk = browser.new_context(viewport=DESK, color_scheme="light", reduced_motion="reduce")
        page = desk.new_page()
        page.goto(options.address)
        for text in EARLIER:
            page.click("#new")
            say(page, text)
        page.click("#new")
        for text in options.said or SAID:
            say(page, text)
        page.click("#messages li:nth-last-child(1) .up")
        page.mouse.move(700, 640)
        page.focus("#message")
        print("\n".join(page.locator("#messages .text").all_text_contents()))
        save(page, options.out / "page_desktop.png")
        kept = desk.storage_state()
        for name, settings in {
            "page_dark": {"viewport": DESK, "color_scheme": "dark"},
            "page_phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True, "device_scale_factor": 1.5},
        }.items():
            page = browser.new_context(storage_state=kept, reduced_motion="reduce", **settings).new_page()
            page.goto(options.address)
            page.evaluate("document.querySelector('#list .open').click()")
            save(page, options.out / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()

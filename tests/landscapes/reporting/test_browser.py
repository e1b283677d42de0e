"""The report in a real browser: it renders, quietly, also on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from landscape_study.landscapes.reporting.page import write_report
from landscape_study.study.store import Store
from tests.valleys import fill, valley_study

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}  # CSS pixels
SMALLEST = 6.5  # CSS pixels that the smallest letters of a figure may have on a phone

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(str(tmp_path_factory.mktemp("browser") / "valley.db"), create=True)
    fill(store, valley_study(pairs=("sgd", "sgdw", "adam", "adamw"), exponents=5))
    return write_report(store, "valley", store.folder / "valley.html")


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Page]:
    """The report, opened; whatever it asks for or complains about is in `page.heard`."""
    opened = browser.new_page(viewport=request.param)
    heard: list[str] = []
    opened.on("console", lambda message: heard.append(message.text))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.on("request", lambda asked: heard.append(asked.url))
    opened.goto(report.as_uri())
    assert heard.pop(0) == report.as_uri()
    opened.heard = heard  # type: ignore[attr-defined]
    yield opened
    opened.close()


def test_it_renders_without_a_complaint_or_a_request(page: Page):
    assert page.title() == "valley: how α and λ interact"
    assert [url for url in page.heard if not url.startswith("data:")] == []  # type: ignore[attr-defined]
    assert page.locator("h2").first.is_visible()


def test_every_picture_is_shown_and_has_an_alternative_text(page: Page):
    pictures = page.locator("img").all()
    assert len(pictures) >= 8
    for picture in pictures:
        assert picture.evaluate("img => img.complete && img.naturalWidth > 0")
        assert picture.bounding_box()["width"] > 250  # type: ignore[index]
        assert page.get_by_alt_text(str(picture.get_attribute("alt")), exact=True).count() == 1


def test_nothing_sticks_out_of_the_screen(page: Page):
    width = page.viewport_size["width"]  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("h1", "h2", "p", "figure", ".panel"):
        for element in page.locator(name).all():
            box = element.bounding_box()
            assert box is None or box["x"] + box["width"] <= width + 1, element.inner_text()


def test_letters_are_large_enough(page: Page):
    for name in ("p", "td", "dd", "figcaption", "pre"):
        size = page.locator(name).first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        assert size >= 13, name
    smallest = page.evaluate(
        """async () => Math.min(...await Promise.all([...document.images].map(async img => {
            const svg = new DOMParser().parseFromString(
                atob(img.src.split(",")[1]), "image/svg+xml");
            const scale = img.getBoundingClientRect().width
                / svg.documentElement.viewBox.baseVal.width;
            return Math.min(...[...svg.querySelectorAll("text")].map(text =>
                parseFloat(/font(?:-size)?:[^;]*?([0-9.]+)px/.exec(
                    text.getAttribute("style"))[1]) * scale));
        })))"""
    )
    assert smallest >= SMALLEST


def test_links_jump_to_their_panels(page: Page):
    page.locator("a", has_text="AdamW").first.click()
    assert page.url.endswith("#adamw")
    box = page.locator("#adamw").bounding_box()
    assert box is not None
    assert -5 <= box["y"] < page.viewport_size["height"]  # type: ignore[index]

"""The tools of text answers in a real browser: evidence by mouse and by keys, differences,
formulas, directions, and the same marks on the page that shows the pair again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from annotation.models import Judgment
from annotation.services.material import add_prompt
from steelyard.assets.services import store_upload
from tests import factories
from tests.assets.media import picture
from tests.browser import saved

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

FIRST = """## The answer

It is **seven**, since $3 + 4 = 7$. 👍 That is *certain*.

```python
def total(a, b):
    return a + b  # seven
```

| step | sum |
|------|----:|
| 3 | 3 |
| + 4 | 7 |

وهذا صحيح تماما.
"""
SECOND = "It is **eight**, since 3 and 4 are 8.\n\nThat is *certain*. " + "And more. " * 200

CHOSEN = """name => [...(CSS.highlights.get(name) ?? [])].map(range => range.toString())"""


def open_page(browse: Any, user: Any, project: Any, **options: Any) -> Page:
    page = browse(user, **options).new_page()
    page.goto(f"/p/{project.slug}/label/")
    page.wait_for_selector(".text-tools:not([hidden])")
    return page


def highlighted(page: Page, name: str) -> list[str]:
    return page.evaluate(CHOSEN, name)


def answer_with(page: Page, words: str) -> Any:
    return page.locator(".answer").filter(has_text=words)


def place_of(page: Page, words: str) -> str:
    return answer_with(page, words).get_attribute("data-place")


def hand_in(page: Page) -> Judgment:
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.press("Control+Enter")
    saved(page)
    return Judgment.objects.get()


def canonical(judgment: Judgment, words: str) -> tuple[str, str]:
    """The side, and the source, of the answer with those words."""
    texts = {"a": judgment.pair.output_a.text, "b": judgment.pair.output_b.text}
    return next((side, text) for side, text in texts.items() if words in text)


def test_words_are_marked_with_the_mouse(
    browse: Any, project: Any, member: Any, owner: Any
) -> None:
    pair = factories.make_pair(project, texts=(FIRST, SECOND))
    page = open_page(browse, member, project)
    place = place_of(page, "seven")
    page.locator(".answer-text strong", has_text="seven").dblclick()
    page.locator(".mark-bar").get_by_role("button", name="✓ good").click()

    chip = page.locator(".chip")
    expect(chip).to_have_text(re.compile(rf"{place.upper()}: seven"))
    expect(chip.get_by_role("button", name="Good or bad: good")).to_be_visible()
    assert highlighted(page, f"mark-{place}") == ["seven"]
    chip.get_by_role("textbox").fill("3 + 4, not 8; so tie?")
    page.keyboard.press("Enter")
    expect(chip.get_by_role("button", name=re.compile("^Evidence 1"))).to_be_focused()

    judgment = hand_in(page)
    side, text = canonical(judgment, "seven")
    start = text.index("seven")
    assert judgment.evidence == [
        {
            "side": side,
            "kind": "span",
            "start": start,
            "end": start + 5,
            "quote": "seven",
            "says": "good",
            "note": "3 + 4, not 8; so tie?",
        }
    ]

    page.goto(f"/p/{project.slug}/label/?amend={judgment.uuid}")
    page.wait_for_selector(".text-tools:not([hidden])")
    expect(page.locator(".chip")).to_contain_text("seven")
    expect(page.locator(".chip").get_by_role("textbox")).to_have_value("3 + 4, not 8; so tie?")
    assert highlighted(page, f"mark-{place}") == ["seven"]

    review = browse(owner).new_page()
    review.goto(f"/p/{project.slug}/pairs/{pair.pk}/")
    expect(review.locator(".pieces li")).to_have_text(re.compile("seven.*good.*not 8", re.S))
    review.wait_for_selector(".math[data-set]")
    assert highlighted(review, f"mark-{side}") == ["seven"]
    assert Axe().run(review).violations_count == 0
    review.goto(f"/p/{project.slug}/judgments/")
    expect(review.locator(".pieces q")).to_have_text("seven")


def test_words_are_marked_by_keys_alone(browse: Any, project: Any, member: Any) -> None:
    factories.make_pair(project, texts=("One two. 👍 Three *four*\nfive six.", "Other words here."))
    page = open_page(browse, member, project)
    place = place_of(page, "Three")
    say = page.locator(".text-say")
    page.keyboard.press("e")
    page.keyboard.press("1" if place == "a" else "2")
    expect(say).to_contain_text("One")
    page.keyboard.press("ArrowRight")
    expect(say).to_have_text("two")
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("t")  # means nothing here, so no verdict is chosen by accident
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Control+Shift+ArrowRight")
    expect(say).to_have_text(re.compile("Chosen: .*four"))
    assert highlighted(page, "mark-caret") != []
    page.keyboard.press("-")
    expect(page.locator(".chip")).to_contain_text("✗ bad")
    assert highlighted(page, "mark-caret") == []
    expect(page.get_by_role("radio", name="Tie")).not_to_be_checked()

    page.keyboard.press("e")
    page.keyboard.press("Tab")
    page.keyboard.press(place)
    page.keyboard.press("b" if place == "a" else "a")
    expect(say).to_contain_text("Other")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(2)
    page.get_by_role("button", name=re.compile("^Evidence 2")).focus()
    page.keyboard.press("Delete")
    expect(page.locator(".chip")).to_have_count(1)

    judgment = hand_in(page)
    (item,) = judgment.evidence
    side, text = canonical(judgment, "Three")
    assert (item["side"], item["says"]) == (side, "bad")
    assert item["quote"] == text[item["start"] : item["end"]]
    assert "four" in item["quote"]


def test_a_formula_is_set_and_marked_as_its_source(browse: Any, project: Any, member: Any) -> None:
    texts = (r"Since \(a^2\) is $\frac{1}{2}$, and \(\nonsense{\) is not, we know.", "No.")
    factories.make_pair(project, texts=texts)
    page = open_page(browse, member, project)
    expect(page.locator(".math[data-set] math")).to_have_count(2)
    expect(page.locator(".math:not([data-set])")).to_have_text(r"\nonsense{")
    page.locator(".answer-text", has_text="Since").evaluate(
        """root => {
            const range = document.createRange();
            range.setStart(root.querySelector("p").firstChild, 0);
            range.setEnd(root.querySelectorAll(".math")[1].querySelector(".mord"), 0);
            document.getSelection().removeAllRanges();
            document.getSelection().addRange(range);
        }"""
    )
    page.keyboard.press("e")
    expect(page.locator(".chip")).to_contain_text(r"Since a^2 is \frac{1}{2}")
    judgment = hand_in(page)
    assert judgment.evidence[0]["quote"] == r"Since \(a^2\) is $\frac{1}{2}$"


def test_differences_are_marked_and_told_and_answers_scroll_together(
    browse: Any, project: Any, member: Any
) -> None:
    long = "\n\nThe same. " * 80
    factories.make_pair(project, texts=(f"Yes, blue and red.{long}", f"Yes, green.{long}"))
    factories.make_pair(project, texts=("One word.", "One word more."))
    factories.make_pair(project, texts=("apple " * 20, "stone " * 20))
    page = open_page(browse, member, project)
    place = place_of(page, "blue")
    other = {"a": "b", "b": "a"}[place]
    page.keyboard.press("d")
    expect(page.locator(".text-say")).to_contain_text(f"1 word only in {other}", ignore_case=True)
    expect(page.locator(".text-say")).to_contain_text("3 words only in")
    assert highlighted(page, f"differs-{place}") == ["blue and red"]
    assert highlighted(page, f"differs-{other}") == ["green"]

    page.keyboard.press("l")
    page.locator("#answer-A .answer-body").evaluate("body => (body.scrollTop = 300)")
    page.wait_for_function("document.querySelector('#answer-B .answer-body').scrollTop > 250")
    page.keyboard.press("t")
    page.keyboard.press("Enter")
    expect(page.locator("#answer-A")).to_contain_text("One word")
    expect(page.locator(".text-say")).to_contain_text("1 word only in")  # it stays on
    page.keyboard.press("t")
    page.keyboard.press("Enter")
    expect(page.locator(".text-say")).to_have_text("These answers have hardly a word in common.")
    assert highlighted(page, "differs-a") == []
    page.keyboard.press("d")
    assert highlighted(page, "differs-a") == highlighted(page, "differs-b") == []


def test_a_picture_that_is_asked_about_stands_with_the_prompt(
    browse: Any, project: Any, member: Any, owner: Any
) -> None:
    asset = store_upload(project=project, data=picture())
    messages = [{"role": "user", "content": "What is this?"}]
    prompt = add_prompt(project=project, messages=messages, media=[asset.sha256])
    pair = factories.make_pair(project, prompt=prompt, texts=("A square.", "A circle."))
    page = open_page(browse, member, project)
    review = browse(owner).new_page()
    review.goto(f"/p/{project.slug}/pairs/{pair.pk}/")
    for place in (page, review):
        shown = place.get_by_role("img", name="Picture 1 of the prompt")
        expect(shown).to_be_visible()
        shown.evaluate("image => image.decode()")  # which fails where it is none
        assert Axe().run(place).violations_count == 0


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1280, False)])
def test_everybody_can_read_it(
    browse: Any, project: Any, member: Any, width: int, dark: bool
) -> None:
    messages = [
        {"role": "system", "content": "You are a patient teacher. " * 20},
        {"role": "user", "content": "كم سبعة؟ What is $3 + 4$?"},
        {"role": "assistant", "content": "In which base?"},
        {"role": "user", "content": "Ten. See | this |"},
    ]
    prompt = add_prompt(project=project, messages=messages)
    factories.make_pair(project, prompt=prompt, texts=(FIRST, SECOND))
    page = open_page(
        browse,
        member,
        project,
        viewport={"width": width, "height": 800},
        color_scheme="dark" if dark else "light",
    )
    page.wait_for_selector(".math[data-set]")
    page.locator(".folded > summary").click()
    page.locator(".answer-text", has_text="eight").locator("strong").dblclick()
    page.keyboard.press("e")
    page.keyboard.press("d")
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(2)
    directions = "blocks => blocks.map(block => getComputedStyle(block).direction)"
    assert "rtl" in page.locator(".answer-text > p").evaluate_all(directions)
    assert set(page.locator(".answer-text pre").evaluate_all(directions)) == {"ltr"}
    for part in ("html", "#verdict", ".text-tools", ".prompt"):
        assert page.locator(part).bounding_box()["width"] <= width, part
    assert page.locator(".answer-text table").bounding_box()["width"] > 60
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()

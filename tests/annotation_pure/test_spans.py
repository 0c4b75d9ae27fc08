from __future__ import annotations

import random

import pytest

from annotation.spans import to_shown, to_source
from steelyard.lib.errors import UserError
from steelyard.web.markdown import shown_text

SAMPLES = {
    "plain": "One sentence. Another one.",
    "heading": "# One #\n\nTwo\n===\n\n## Three *four*",
    "lists": "1. 1\n2. 2 *two*\n   more\n\n- - a\n- a\n\n  loose",
    "emphasis": "a **a** *a* ~~a~~ ***a*** _a_ `a` ``a ` b`` a*a",
    "links": 'see [the more](http://more.org/more "more") more, [b][b] b, <http://b.b>\n\n[b]: /b',
    "picture": "a ![alt *b*](http://x.y/b.png) b ![](http://x.y/c.png) c",
    "code": "```python\ndef f(x):\n    return x  # x\n```\n\n    indented\n      more\n\nx",
    "code in a list": "- a\n  ```\n  a\n    b\n\n  c\n  ```\n- b",
    "table": "| a | b |\n|---|---|\n| 1 | 1 |\n| `1\\|2` | **2** |\n\n2",
    "entities": "&lt;b&gt; &amp;amp; &copy; \\*a\\* &#65; a & b &nope;",
    "quote": "> one\n> two\nthree\n>\n> - four\n>   five",
    "emoji": "👍🏽 good 👨‍👩‍👧 **👍** é e\u0301",
    "right to left": "# مرحبا\n\nشكرا **جزيلا** לך `x = 1`",
    "windows": "one\r\n\r\n- two\r\n- **three**\r\n\r\n```\r\nfour\r\nfive\r\n```\rsix",
    "formulas": "with $x^2$ and \\(y\\)\n\n$$\nz = 1\n+ 2\n$$\n\n> \\[\n> a = b\n> \\]\n\nend",
    "html": "<b>bold</b> & <script>alert(1)</script>",
    "breaks": "one  \ntwo\\\nthree\nfour   ",
}


def mark(text: str, quote: str, nth: int = 0) -> str:
    """What of the source is marked when the nth such quote of the shown text is."""
    shown = shown_text(text)
    at = -1
    for _ in range(nth + 1):
        at = shown.index(quote, at + 1)
    start, end = to_source(text, at, at + len(quote))
    return text[start:end]


@pytest.mark.parametrize(
    ("sample", "quote", "nth", "source"),
    [
        ("plain", "Another", 0, "Another"),
        ("heading", "Three four", 0, "Three *four"),
        ("lists", "two", 0, "two"),
        ("links", "the more more", 0, 'the more](http://more.org/more "more") more'),
        ("links", "http://b.b", 0, "http://b.b"),
        ("picture", "alt b", 0, "![alt *b*](http://x.y/b.png)"),
        ("code", "f(x):\n    return", 0, "f(x):\n    return"),
        ("code in a list", "a\n  b", 0, "a\n    b"),
        ("table", "1|2", 0, "1\\|2"),
        ("entities", "<b>", 0, "&lt;b&gt;"),
        ("entities", "*a*", 0, "\\*a\\*"),
        ("emoji", "good", 0, "good"),
        ("right to left", "جزيلا", 0, "جزيلا"),
        ("windows", "four\nfive", 0, "four\r\nfive"),
        ("formulas", "x^2", 0, "$x^2$"),
        ("formulas", "z = 1\n+ 2", 0, "$$\nz = 1\n+ 2\n$$"),
        ("formulas", "y", 0, "\\(y\\)"),
        ("html", "<script>", 0, "<script>"),
    ],
)
def test_a_quote_is_found_where_it_was_written(
    sample: str, quote: str, nth: int, source: str
) -> None:
    assert mark(SAMPLES[sample], quote, nth) == source


def test_a_list_mark_is_not_taken_for_its_item() -> None:
    text = SAMPLES["lists"]
    assert to_source(text, shown_text(text).index("1"), shown_text(text).index("1") + 1) == (3, 4)


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
def test_every_letter_that_is_shown_has_its_place(text: str) -> None:
    shown = shown_text(text)
    for at, letter in enumerate(shown):
        if not letter.isspace():
            to_source(text, at, at + 1)


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
def test_there_and_back_is_where_it_was(text: str) -> None:
    shown, draw = shown_text(text), random.Random(1)
    for _ in range(200):
        start, end = sorted(draw.sample(range(len(shown) + 1), 2))
        if not shown[start:end].strip():
            continue
        source = to_source(text, start, end)
        back = to_shown(text, *source)
        # what stands for one stretch of the source is marked as a whole
        assert shown[start:end].strip() in shown[slice(*back)]
        assert to_source(text, *back) == source


def test_random_text_keeps_its_order() -> None:
    draw = random.Random(2)
    letters = [*"ab *_`[]()!<>&;#|\\$~\n\n  -1.👍", "&amp;", "](x)", "$$", "\r\n", "```\n"]
    for _ in range(250):
        text = "".join(draw.choices(letters, k=draw.randrange(1, 60)))
        shown = shown_text(text)
        for _ in range(5):
            start, end = sorted(draw.choices(range(len(shown) + 1), k=2))
            try:
                source = to_source(text, start, end)
            except UserError:
                continue
            assert 0 <= source[0] < source[1] <= len(text)
            assert to_source(text, *to_shown(text, *source)) == source


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (0, 0), (3, 2), (0, 10_000)])
def test_a_span_outside_its_text_is_refused(start: int, end: int) -> None:
    with pytest.raises(UserError) as error:
        to_source("*some* words", start, end)
    assert error.value.code == "span_outside"
    with pytest.raises(UserError):
        to_shown("*some* words", start, end)


def test_a_span_of_nothing_but_a_gap_is_refused() -> None:
    with pytest.raises(UserError) as error:
        to_source("one\n\ntwo", 3, 4)
    assert error.value.code == "empty_span"


def test_markup_alone_is_shown_as_nothing() -> None:
    assert to_shown("**bold** x", 0, 2) == (0, 0)


def test_a_source_shown_as_it_was_written_keeps_its_places() -> None:
    text = "\r\n> " + "> " * 30 + "deep\r\n"
    shown = shown_text(text)
    at = shown.index("deep")
    start, end = to_source(text, at, at + 4)
    assert text[start:end] == "deep"
    assert to_shown(text, start, end) == (at, at + 4)
    assert to_source("---", 0, 3) == (0, 3)


def test_places_are_right_in_a_text_that_has_too_much_markup_to_be_formatted() -> None:
    text = "  " + "A**A** " * 30_000
    assert "**" in shown_text(text)
    at = shown_text(text).index("**A** A", 100_000)
    start, end = to_source(text, at, at + 7)
    assert (start, text[start:end]) == (at + 2, "**A** A")
    assert to_shown(text, start, end) == (at, at + 7)

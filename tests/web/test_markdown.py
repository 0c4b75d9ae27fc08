"""What becomes of Markdown on a page; that nothing dangerous comes through is with the template
helpers."""

from __future__ import annotations

import random
import re
import time
from html import unescape

import pytest

from steelyard.web.markdown import LANGUAGES, highlight, render, shown_text


@pytest.mark.parametrize(
    "text",
    [
        "costs $5 and $7",
        "from $5-$7 to US$20, then $10",
        "$5 million (or 5M$)",
        "`$a$` and $HOME/$USER",
        r"\$a\$",
        "a $ b $ c",
        r"\[citation needed\]",
        r"\(never closed",
        "$$\nnever closed",
    ],
)
def test_what_is_no_formula_stays_text(text: str) -> None:
    assert 'class="math"' not in render(text)


@pytest.mark.parametrize(
    ("text", "tex", "display"),
    [
        ("with $x^2$ in it", "x^2", False),
        ("$5 < x$", "5 &lt; x", False),
        (r"with \(a_b*c*d\).", "a_b*c*d", False),
        (r"with \[ x = 1 \] in it", "x = 1", True),
        ("with $$x_1$$ in it", "x_1", True),
        ("so:\n$$\nx\n=\n- y\n$$\nand", "x\n=\n- y", True),
        ("\\[\n\na = b\n\n\\]", "a = b", True),
        ("- a\n  $$\n  b\n  $$", "b", True),
    ],
)
def test_a_formula_leaves_as_its_source(text: str, tex: str, display: bool) -> None:
    attribute = ' data-display=""' if display else ""
    assert f'<span class="math" dir="ltr"{attribute}>{tex}</span>' in render(text)


def test_code_gets_colours_and_keeps_every_letter() -> None:
    code = "\n\ndef f(x):\t# c\n    return '<b>' + 1\n\n"
    html = render(f"```python\n{code}```")
    assert '<pre dir="ltr" data-language="python">' in html
    assert '<span class="tok-k">def</span>' in html
    assert shown_text(f"```python\n{code}```") == code + "\n"
    assert "tok-" not in render(f"```unheard-of\n{code}```")


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_is_known_and_adds_nothing(language: str) -> None:
    code = "a = 'b' # <c>\n\n  -1\n+ x\r"
    assert unescape(re.sub("<[^>]*>", "", highlight(code, language))) == code


def test_headings_go_under_those_of_the_page_without_a_gap() -> None:
    html = render("### a\n\n# b\n\n##### c")
    assert re.findall(r"<(h\d)[^>]*>(\w)", html) == [("h3", "a"), ("h3", "b"), ("h4", "c")]
    assert "<h2" in render("# a", top=2)


def test_pictures_of_other_places_become_links_and_links_leave_the_page_open() -> None:
    html = render("![a cat](http://x.y/cat.png) [b](http://x.y)")
    assert "<img" not in html
    assert '<a class="picture" href="http://x.y/cat.png" target="_blank"' in html
    assert html.count('target="_blank"') == 2
    assert "href" not in render("![a](javascript:alert(1))").replace("(javascript", "")


def test_each_block_reads_in_its_own_direction_and_code_never_turns() -> None:
    html = render("مرحبا\n\n- one\n\n`x`\n\n| a |\n|--:|\n| 1 |")
    assert html.count('dir="auto"') == 4
    assert '<code dir="ltr">x</code>' in html
    assert '<td align="right">1</td>' in html


@pytest.mark.parametrize(
    "text",
    ["> " * 30 + "deep", "---", "[a]: http://x.y", "```\n```", "\n# \r\n- \n", "&nbsp;", "[](/x)"],
)
def test_what_would_show_nothing_is_shown_as_it_was_written(text: str) -> None:
    assert render(text).startswith('<pre dir="auto">')
    assert shown_text(text) == text.replace("\r", "").strip()


@pytest.mark.parametrize("text", ["", "\n", " \t\r\n\u00a0"])
def test_white_space_shows_nothing(text: str) -> None:
    assert shown_text(text).strip() == ""
    assert "<pre" not in render(text)


def test_any_text_can_be_shown() -> None:
    draw = random.Random(3)
    letters = [*"ab *_`[]()!<>&;#|\\$~\n\n  -1.:'\"\0\r\t\ud800\ufeff", "```", "$$", "&#13;", "**"]
    for _ in range(1000):
        text = "".join(draw.choices(letters, k=draw.randrange(80)))
        html = render(text)
        assert "<script" not in html
        assert shown_text(text).count("<") <= text.count("<") + text.count("&")


@pytest.mark.parametrize("part", ["word **word** `x` $y$\n\n", "[", "$a ", "**a "])
def test_a_very_long_text_takes_seconds_at_most(part: str) -> None:
    begin = time.process_time()
    render(part * (100_000 // len(part)))
    assert time.process_time() - begin < 10


@pytest.mark.parametrize(
    "around", ["%s", "`%s`", "```\n%s\n```", "a **%s** b", "| %s |\n|---|\n| x |"]
)
@pytest.mark.parametrize("letter", ["A", "&amp;", "<", "e\u0301", "\u0628"])
def test_a_long_word_has_places_to_break_and_keeps_its_letters(around: str, letter: str) -> None:
    word = letter * 5000
    html = render(around % word)
    parts = re.split("<wbr>", html)
    assert len(parts) > 20
    assert max(len(unescape(re.sub("<[^>]*>", "", part)).strip()) for part in parts) < 410
    assert not any(part.startswith("\u0301") for part in parts)
    plain = word if "`" in around else unescape(word)
    assert plain in shown_text(around % word)


@pytest.mark.parametrize(
    "text", ["word " * 500, "字" * 1000, "ไทย" * 500, "👍🏽" * 300, f"[a](http://x.y/{'p' * 900})"]
)
def test_what_breaks_by_itself_is_left_alone(text: str) -> None:
    assert "<wbr>" not in render(text)


@pytest.mark.parametrize("part", ["A**A**", "`a` ", "[a](b) ", "- a\n", "$a$ "])
def test_what_has_more_pieces_than_a_page_can_bear_is_shown_as_it_was_written(part: str) -> None:
    text = part * 30_000
    made = render(text, note="Too much <here>")
    assert made.startswith('<pre dir="auto" data-note="Too much &lt;here&gt;">')
    assert shown_text(text) == text.strip()
    few = render(part * 100, note="Too much")
    assert "data-note" not in few
    assert few.count("<") > 100

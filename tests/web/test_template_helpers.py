from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from steelyard.web.templatetags.steelyard import (
    duration,
    elapsed,
    exact_time,
    markdown,
    number,
    percent,
    relative,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (200, "3 min 20 s"),
        (0, "0 s"),
        (0.25, "0.2 s"),
        (4.0, "4 s"),
        (59.6, "1 min"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90061, "1 d 1 h"),
        (86_460, "1 d"),
        (-5, "0 s"),
        (None, "–"),
        (float("nan"), "–"),
        (timedelta(minutes=2), "2 min"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: Any, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(hours=5, minutes=59), "5 hours ago"),
        (timedelta(days=3), "3 days ago"),
        (timedelta(minutes=-10), "in 10 minutes"),
    ],
)
def test_a_time_is_told_from_now(age: timedelta, text: str) -> None:
    assert relative(age) == text


def test_the_exact_time_is_there_too() -> None:
    now = timezone.now()
    html = exact_time(now)
    assert f'datetime="{now.isoformat()}"' in html
    assert f"{now:%Y-%m-%d %H:%M:%S}" in html
    assert exact_time(None) == "–"


def test_numbers_and_shares() -> None:
    assert (percent(0.5432), percent(None), percent(float("nan"))) == ("54.3 %", "–", "–")
    assert (number(0.123456), number(None), number(12), number(8931)) == (
        "0.1235",
        "–",
        "12",
        "8\u202f931",
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](data:text/html,<script>)",
        '<a href="x" onclick="y">z</a>',
    ],
)
def test_markdown_is_never_dangerous(text: str) -> None:
    html = markdown(text)
    assert "<script" not in html
    assert "<img src=x" not in html
    assert 'href="javascript' not in html
    assert "<a href" not in html or "onclick" not in html


def test_markdown_makes_tables_and_lists() -> None:
    html = markdown("- one\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    assert "<li>one</li>" in html
    assert "<td>1</td>" in html
    assert markdown("") == ""


def test_time_goes_on_until_there_is_an_end() -> None:
    start = timezone.now() - timedelta(seconds=90)
    assert elapsed(start, start + timedelta(seconds=30)) == 30
    assert elapsed(start, None) == pytest.approx(90, abs=5)
    assert elapsed(None, None) is None


def test_a_query_keeps_what_it_does_not_change() -> None:
    request = RequestFactory().get("/", {"by": "people", "page": "3", "q": "a&b"})
    show = Template("{% query page=4 %} {% query page=None q='' %}")
    assert show.render(Context({"request": request})) == (
        "?by=people&amp;q=a%26b&amp;page=4 ?by=people"
    )


def test_a_page_that_does_not_exist_has_no_address() -> None:
    show = Template("{% nav_url 'no:such-page' 1 %}|{% nav_url 'projects:home' %}")
    assert show.render(Context({})) == "|/"


def test_many_rows_are_walked_page_by_page() -> None:
    from django.core.paginator import Paginator

    page = Paginator(range(60), 25).get_page(2)
    request = RequestFactory().get("/", {"by": "people", "page": "2"})
    show = Template('{% include "components/pages.html" %}')
    html = show.render(Context({"page": page, "request": request}))
    assert 'href="?by=people&amp;page=1" rel="prev"' in html
    assert 'href="?by=people&amp;page=3" rel="next"' in html
    assert "26 to 50 of 60" in html

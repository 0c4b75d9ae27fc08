"""Two languages: what decides, and that the shipped translation is whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polib
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import translation

from evaluation.engine.ratings import Unrated
from evaluation.leaderboard import NotRated
from steelyard.web.catalogue import catalogue_url
from steelyard.web.templatetags.steelyard import duration, in_sentence, number, percent, relative

LOCALE = Path(__file__).resolve().parents[2] / "locale"
CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/*.po"))
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd](?!\w)|\{\w+\}|%%")
LINK = re.compile(r"<[^>]+>|&\w+;")
GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de-AT,de;q=0.9,en;q=0.5"}


@pytest.fixture(autouse=True)
def _language_of_others() -> Iterator[None]:
    """A request leaves its language to the thread; the next test wants English."""
    yield
    translation.activate("en")


def html_of(client: Client, path: str, **headers: Any) -> str:
    return client.get(path, **headers).content.decode()


@pytest.mark.django_db
def test_the_browsers_language_is_spoken_where_nobody_chose_one() -> None:
    page = html_of(Client(), "/account/sign-in/", **GERMAN)
    assert '<html lang="de" dir="ltr">' in page
    assert "<h1>Anmelden</h1>" in page
    english = html_of(Client(), "/account/sign-in/", HTTP_ACCEPT_LANGUAGE="fr")
    assert '<html lang="en" dir="ltr">' in english


@pytest.mark.django_db
def test_a_language_chosen_before_signing_in_is_kept_by_a_cookie() -> None:
    client = Client()
    answer = client.post(
        "/account/language/", {"language": "de", "next": "/account/sign-in/?next=/p/x/"}
    )
    assert answer["Location"] == "/account/sign-in/?next=/p/x/"
    assert client.cookies["language"].value == "de"
    assert "<h1>Anmelden</h1>" in html_of(client, "/account/sign-in/")
    client.post("/account/language/", {"language": "", "next": "/account/sign-in/"})
    assert "<h1>Sign in</h1>" in html_of(client, "/account/sign-in/")


def test_whoever_is_signed_in_has_their_language_in_every_browser(
    owner: Any, as_user: Callable[..., Client]
) -> None:
    as_user(owner).post("/account/language/", {"language": "de", "next": "/account/"})
    owner.refresh_from_db()
    assert owner.language == "de"
    elsewhere = as_user(owner)
    answer = elsewhere.get("/account/", HTTP_ACCEPT_LANGUAGE="en")
    assert answer["Content-Language"] == "de"
    assert '<h2 id="password-heading">Passwort</h2>' in answer.content.decode()


def test_a_language_that_is_not_here_is_refused_and_no_other_site_is_led_to(
    owner: Any, as_user: Callable[..., Client]
) -> None:
    answer = as_user(owner).post("/account/language/", {"language": "xx"})
    assert answer.status_code == 400
    assert "There is no language “xx” here; there are en, de." in answer.content.decode()
    owner.refresh_from_db()
    assert owner.language == ""
    away = Client().post("/account/language/", {"language": "de", "next": "https://example.org/"})
    assert away["Location"] == "/"


@pytest.mark.django_db
def test_the_words_of_scripts_are_kept_for_ever_and_english_pages_fetch_none() -> None:
    assert catalogue_url("en") == ""
    url = catalogue_url("de")
    assert f'<script src="{url}" defer></script>' in html_of(
        Client(), "/account/sign-in/", **GERMAN
    )
    answer = Client().get(url)
    assert "immutable" in answer["Cache-Control"]
    assert "gerade eben" in answer.content.decode()
    older = Client().get(reverse("words", args=["de", "0" * 12]))
    assert older["Cache-Control"] == "no-cache"
    assert Client().get(reverse("words", args=["xx", "0" * 12])).status_code == 404


def test_times_numbers_and_words_within_a_sentence_follow_the_language() -> None:
    with translation.override("de"):
        assert relative(timedelta(days=1)) == "vor 1 Tag"
        assert relative(timedelta(hours=-3)) == "in 3 Stunden"
        assert relative(timedelta(seconds=5)) == "gerade eben"
        assert duration(200_000) == "2 T 7 h"
        assert duration(1.5) == "1,5 s"
        assert percent(0.5432) == "54,3 %"
        assert number(0.123456) == "0,1235"
        assert in_sentence("Annotator") == "Annotator"
    assert in_sentence("Annotator") == "annotator"


@pytest.mark.parametrize("language", ["en", "de"])
def test_why_a_model_is_not_rated_is_said_in_the_pages_language(language: str) -> None:
    reasons = [
        "no votes",
        "it won all of its 3 votes, so …",
        "it lost its only vote, so …",
        "nobody",
    ]
    with translation.override(language):
        said = [NotRated(None, Unrated(0, r, 1.0, 3)).why for r in reasons]  # type: ignore[arg-type]
    assert len(set(said)) == 4
    assert ("votes" in said[0]) == (language == "en")


def test_every_language_of_the_settings_is_shipped() -> None:
    shipped = {path.parent.parent.name for path in CATALOGUES}
    assert shipped == set(dict(settings.LANGUAGES)) - {"en"}
    assert {path.name for path in CATALOGUES} == {"django.po", "djangojs.po"}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_catalogue_is_whole_and_its_compiled_form_says_the_same(path: Path) -> None:
    catalogue = polib.pofile(str(path))
    left = [entry.msgid for entry in catalogue.untranslated_entries() + catalogue.fuzzy_entries()]
    assert left == []
    compiled = {
        (entry.msgctxt, entry.msgid): entry.msgstr or entry.msgstr_plural
        for entry in polib.mofile(str(path.with_suffix(".mo")))
    }
    assert compiled == {
        (entry.msgctxt, entry.msgid): entry.msgstr or entry.msgstr_plural for entry in catalogue
    }


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_translation_keeps_what_is_filled_in_and_its_markup(path: Path) -> None:
    wrong = []
    for entry in polib.pofile(str(path)):
        for form, said in (entry.msgstr_plural or {1: entry.msgstr}).items():
            source = entry.msgid_plural if entry.msgid_plural and form else entry.msgid
            for kept in (PLACEHOLDER, LINK):
                if sorted(kept.findall(source)) != sorted(kept.findall(said)):
                    wrong.append((source, said))
    assert wrong == []

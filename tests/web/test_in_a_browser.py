"""The shell in Chromium: tokens of forms sent by htmx, menus, widths, and axe's rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from steelyard.accounts import services
from steelyard.runs.services import start_run
from tests import factories
from tests.accessible import faults

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
Visit = Callable[..., Page]
PAGES = [
    "accounts:account",
    "accounts:person-list",
    "projects:home",
    "projects:project-new",
    "projects:project-detail",
    "projects:project-settings",
    "projects:member-list",
    "runs:run-list",
    "evaluation:leaderboard",
]


@pytest.fixture
def somebody(project: Any) -> Any:
    """A site admin with a token, in a project of a few votes between models with long names."""
    project.name = "Which answer is kinder, and would the person who asked it agree?"
    project.guidelines = "# Prefer\n\n- the **kinder** answer\n- `code` that runs\n\nأجب بلطف"
    project.save()
    names = ["SmolLM2-135M-Instruct-temperature-0.7-top-p-0.9", "short", "third-model"]
    annotator = factories.make_annotator(project)
    for n in range(12):
        pair = factories.make_pair(project, models=(names[n % 3], names[(n + 1) % 3]))
        factories.make_judgment(pair, "ab"[n % 2], annotator=annotator)
    user = factories.make_user("root", superuser=True, project=project, role="admin")
    services.create_token(user=user, name="nightly export")
    return user


def path_of(name: str, project: Any) -> str:
    in_project = not name.startswith("accounts") and name not in {
        "projects:home",
        "projects:project-new",
    }
    return reverse(name, args=[project.slug] if in_project else [])


def test_pages_pass_axe_and_never_scroll_sideways(
    visit: Visit, somebody: Any, project: Any
) -> None:
    """On a wide screen with their charts opened; test_axe_on_every_page.py has the other widths."""
    page = visit(path_of("accounts:account", project), somebody, width=2560)
    origin = page.url.removesuffix(path_of("accounts:account", project))
    wrong = []
    # the sign-in last, for which the session is given up
    for name in [*PAGES, "accounts:sign-in"]:
        if name == "accounts:sign-in":
            page.context.clear_cookies()
        page.goto(origin + path_of(name, project))
        page.wait_for_load_state("networkidle")
        for summary in page.get_by_text("Show data").all():
            summary.click()
        wrong += [f"{name}: {fault}" for fault in faults(page)]
        if page.evaluate("document.documentElement.scrollWidth") > 2560:
            wrong.append(f"{name} scrolls sideways")
    assert not wrong, "\n".join(wrong)


def test_a_form_sent_by_htmx_carries_the_csrf_token(visit: Visit, somebody: Any) -> None:
    page = visit("/projects/new/", somebody)
    page.get_by_label("Guidelines").fill("be **kind**")
    with page.expect_response("**/projects/preview/") as answer:
        page.get_by_role("button", name="Preview the guidelines").click()
    assert answer.value.status == 200
    assert answer.value.request.headers["x-csrftoken"]
    expect(page.locator("#guidelines-preview strong")).to_have_text("kind")


def test_the_overview_fills_itself_and_names_one_next_thing(
    visit: Visit, somebody: Any, project: Any
) -> None:
    page = visit(path_of("projects:project-detail", project), somebody)
    expect(page.locator("#overview .steps li").first).to_contain_text("12")
    expect(page.locator(".page-head [role=button]")).to_have_count(1)


def test_the_menu_opens_and_leads_on_without_a_script(
    visit: Visit, somebody: Any, project: Any
) -> None:
    page = visit(path_of("projects:project-detail", project), somebody, width=360, script=False)
    link = page.get_by_role("link", name="Leaderboard", exact=True)
    expect(link).not_to_be_visible()
    page.get_by_text("Menu", exact=True).click()
    link.click()
    expect(page).to_have_title(f"Leaderboard · {project.name}")


def test_the_first_key_skips_the_menu(visit: Visit, somebody: Any) -> None:
    page = visit("/", somebody)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_colours_can_be_switched_and_stay_so(visit: Visit, somebody: Any) -> None:
    page = visit("/", somebody)
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light dark"
    page.get_by_text("root", exact=True).click()
    page.get_by_role("button", name="Dark or light").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_fragment_that_fails_says_so_and_leaves_the_page_as_it_was(
    visit: Visit, somebody: Any
) -> None:
    page = visit("/projects/new/", somebody)
    page.route("**/projects/preview/", lambda route: route.fulfill(status=500, body="<h1>x</h1>"))
    page.get_by_role("button", name="Preview the guidelines").click()
    expect(page.locator("#messages .message")).to_contain_text("The server failed")
    expect(page.locator("#guidelines-preview")).to_be_empty()
    page.get_by_role("button", name="Dismiss this message").click()
    expect(page.locator("#messages .message")).to_have_count(0)


def test_a_server_out_of_reach_is_told_once_and_forgotten_when_it_is_back(
    visit: Visit, somebody: Any
) -> None:
    page = visit("/projects/new/", somebody)
    page.route("**/projects/preview/", lambda route: route.abort())
    button = page.get_by_role("button", name="Preview the guidelines")
    button.click()
    button.click()
    expect(page.locator("#messages .message")).to_have_count(1)
    expect(page.locator("#messages .message")).to_contain_text("cannot be reached")
    page.unroute("**/projects/preview/")
    button.click()
    expect(page.locator("#messages .message")).to_have_count(0)


def test_a_session_that_ended_leads_from_a_fragment_to_the_sign_in(
    visit: Visit, somebody: Any
) -> None:
    page = visit("/projects/new/", somebody)
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Preview the guidelines").click()
    page.wait_for_url("**/account/sign-in/?next=%2Fprojects%2Fnew%2F")


def test_a_dangerous_thing_asks_once_in_words_that_name_it(visit: Visit, somebody: Any) -> None:
    page = visit("/account/", somebody)
    button = page.get_by_role("button", name="Revoke nightly export")
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    button.click()
    assert "nightly export" in asked[0]
    assert somebody.tokens.count() == 1
    page.once("dialog", lambda dialog: dialog.accept())
    button.click()
    expect(page.get_by_text("The token is revoked")).to_be_visible()
    assert somebody.tokens.count() == 0


def test_signing_in_and_out_by_hand(visit: Visit, somebody: Any) -> None:
    page = visit("/")
    page.get_by_label("Username").fill("root")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
    page.get_by_text("root", exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_menu_keeps_its_word_whole_beside_a_longer_name(
    visit: Visit, somebody: Any, project: Any
) -> None:
    for name in ("researcher", "a-name-that-is-far-longer-than-a-telephone-is-wide@example.org"):
        somebody.username = name
        somebody.save()
        page = visit(path_of("runs:run-list", project), somebody, width=360)
        menu, account = page.locator(".site-nav > summary"), page.locator(".account-menu > summary")
        for summary in (menu, account):
            box = summary.bounding_box()
            assert box is not None
            assert box["height"] < 40
            assert box["x"] + box["width"] <= 360
        word = page.locator(".account-menu summary span")
        cut = word.evaluate("word => word.scrollWidth > word.clientWidth")
        assert cut == (name != "researcher")


@pytest.mark.parametrize("name", ["runs:run-list", "evaluation:leaderboard"])
def test_a_wide_table_is_moved_by_keys_and_what_matters_most_stands_in_front(
    visit: Visit, somebody: Any, project: Any, name: str
) -> None:
    start_run(project=project, kind="train", title="Train with DPO", spec={}, by=somebody)
    page = visit(path_of(name, project), somebody, width=360)
    table = page.locator(".table-scroll[role=region]").last
    if name == "runs:run-list":
        state, region = page.locator(".run-state").bounding_box(), table.bounding_box()
        assert state is not None
        assert region is not None
        assert state["x"] + state["width"] <= region["x"] + region["width"]
    table.focus()
    expect(table).to_be_focused()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    last = table.locator("thead th").last
    page.wait_for_function(
        "cell => cell.getBoundingClientRect().right <= innerWidth", arg=last.element_handle()
    )

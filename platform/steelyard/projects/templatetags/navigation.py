"""The project's navigation in the site header. Rooms are named as strings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django import template
from django.utils.translation import gettext_lazy as _

from steelyard.accounts.models import User
from steelyard.projects.models import Project, Role
from steelyard.projects.policy import role_in
from steelyard.web.templatetags.steelyard import nav_url

register = template.Library()

# Label, the page it leads to, and how the names of the pages begin that lie under it.
Section = tuple[Any, str, tuple[str, ...]]
QUEUE_PAGES = (
    "annotation:coverage",
    "annotation:set-",
    "annotation:group",
    "annotation:flag",
    "annotation:person",
)
DATA_PAGES = ("annotation:pair", "annotation:prompt", "annotation:judg", "annotation:import")
LABELLING: list[Section] = [(_("Label"), "annotation:label", ("annotation:label",))]
SECTIONS: list[Section] = [
    (_("Overview"), "projects:project-detail", ("projects:project-detail",)),
    *LABELLING,
    (_("Data"), "annotation:pair-list", DATA_PAGES),
    (_("Queue"), "annotation:coverage", QUEUE_PAGES),
    (_("Versions"), "registry:version-list", ("registry:version", "annotation:version")),
    (_("Models"), "registry:model-list", ("registry:model",)),
    (_("Runs"), "runs:run-list", ("runs:",)),
    (_("Train"), "training:training-new", ("training:",)),
    (_("Evaluations"), "evaluation:evaluation-list", ("evaluation:evaluation", "evaluation:arena")),
    (_("Leaderboard"), "evaluation:leaderboard", ("evaluation:leaderboard",)),
]
SETTINGS: Section = (
    _("Settings"),
    "projects:project-settings",
    ("projects:project-s", "projects:member"),
)
DATA: list[Section] = [
    (_("Pairs"), "annotation:pair-list", ("annotation:pair",)),
    (_("Prompts"), "annotation:prompt-list", ("annotation:prompt",)),
    (_("Judgments"), "annotation:judgment-list", ("annotation:judgment",)),
    (_("AI judges"), "annotation:judge-list", ("annotation:judge-",)),
    (_("Import"), "annotation:import", ("annotation:import",)),
]
QUEUE: list[Section] = [
    (_("Coverage"), "annotation:coverage", ("annotation:coverage",)),
    (_("Groups"), "annotation:group-list", ("annotation:group",)),
    (_("Flags"), "annotation:flag-list", ("annotation:flag",)),
]
SETS: Section = (_("Sets"), "annotation:set-list", ("annotation:set-",))
"""Among those of the queue, where the project asks for rankings."""
UNDER: list[tuple[tuple[str, ...], list[Section]]] = [(DATA_PAGES, DATA), (QUEUE_PAGES, QUEUE)]
"""Of the sections with several pages: how their names begin, and which there are."""


@dataclass(frozen=True)
class Link:
    label: str
    url: str
    current: bool


@dataclass(frozen=True)
class Navigation:
    role: str
    links: list[Link]
    under: list[Link] = field(default_factory=list)
    """The pages of the current section, where it has several."""


@register.simple_tag(takes_context=True)
def navigation(context: template.Context) -> Navigation | None:
    """What the person may open in the page's project; None outside of projects."""
    request, project = context.get("request"), context.get("project")
    user = getattr(request, "user", None)
    if not isinstance(project, Project) or not isinstance(user, User) or project.pk is None:
        return None
    role = role_in(user, project)
    if role is None:
        return None
    match = getattr(request, "resolver_match", None)
    page = match.view_name if match else ""
    if role == Role.ANNOTATOR:
        return Navigation(role, _links(project, LABELLING, page))
    sections = [*SECTIONS, SETTINGS] if role == Role.ADMIN else SECTIONS
    under = next((pages for names, pages in UNDER if page.startswith(names)), [])
    if under is QUEUE and project.scheme["task"] == "ranking":
        under = [*QUEUE[:1], SETS, *QUEUE[1:]]
    return Navigation(role, _links(project, sections, page), _links(project, under, page))


def _links(project: Project, sections: list[Section], page: str) -> list[Link]:
    """Links to those sections that exist."""
    links = [
        Link(str(label), nav_url(name, project.slug), page.startswith(under))
        for label, name, under in sections
    ]
    return [link for link in links if link.url]

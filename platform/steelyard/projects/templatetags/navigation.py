"""The project's navigation in the site header. Rooms are named as strings."""

from __future__ import annotations

from dataclasses import dataclass, field

from django import template

from steelyard.accounts.models import User
from steelyard.projects.models import Project, Role
from steelyard.projects.policy import role_in
from steelyard.web.templatetags.steelyard import nav_url

register = template.Library()

# Label, the page it leads to, and how the names of the pages begin that lie under it.
Section = tuple[str, str, tuple[str, ...]]
QUEUE_PAGES = ("annotation:coverage", "annotation:group", "annotation:flag", "annotation:person")
DATA_PAGES = ("annotation:pair", "annotation:prompt", "annotation:judg", "annotation:import")
LABELLING: list[Section] = [("Label", "annotation:label", ("annotation:label",))]
SECTIONS: list[Section] = [
    ("Overview", "projects:project-detail", ("projects:project-detail",)),
    *LABELLING,
    ("Data", "annotation:pair-list", DATA_PAGES),
    ("Queue", "annotation:coverage", QUEUE_PAGES),
    ("Versions", "registry:version-list", ("registry:version", "annotation:version")),
    ("Models", "registry:model-list", ("registry:model",)),
    ("Runs", "runs:run-list", ("runs:",)),
    ("Train", "training:training-new", ("training:",)),
    ("Evaluations", "evaluation:evaluation-list", ("evaluation:evaluation",)),
    ("Leaderboard", "evaluation:leaderboard", ("evaluation:leaderboard",)),
]
SETTINGS: Section = (
    "Settings",
    "projects:project-settings",
    ("projects:project-s", "projects:member"),
)
DATA: list[Section] = [
    ("Pairs", "annotation:pair-list", ("annotation:pair",)),
    ("Prompts", "annotation:prompt-list", ("annotation:prompt",)),
    ("Judgments", "annotation:judgment-list", ("annotation:judgment",)),
    ("AI judges", "annotation:judge-list", ("annotation:judge-",)),
    ("Import", "annotation:import", ("annotation:import",)),
]
QUEUE: list[Section] = [
    ("Coverage", "annotation:coverage", ("annotation:coverage",)),
    ("Groups", "annotation:group-list", ("annotation:group",)),
    ("Flags", "annotation:flag-list", ("annotation:flag",)),
]
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
    return Navigation(role, _links(project, sections, page), _links(project, under, page))


def _links(project: Project, sections: list[Section], page: str) -> list[Link]:
    """Links to those sections that exist."""
    links = [
        Link(label, nav_url(name, project.slug), page.startswith(under))
        for label, name, under in sections
    ]
    return [link for link in links if link.url]

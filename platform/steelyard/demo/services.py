"""The demo that a first start loads: three people, three projects, and runs that fill them."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from steelyard.accounts.models import User
from steelyard.demo.engine.words import WORDS
from steelyard.lib.said import Said
from steelyard.projects.models import Membership, Project, Role
from steelyard.runs.models import Run
from steelyard.runs.services import start_run

ACCOUNTS_FILE = "demo_accounts.json"
PEOPLE = {"annotator": Role.ANNOTATOR, "researcher": Role.RESEARCHER, "admin": Role.ADMIN}


@dataclass(frozen=True)
class DemoProject:
    slug: str
    name: str
    modality: str
    guidelines: str
    parts: dict[str, str]
    """Part of the demo engine → code of its run's title."""


PROJECTS = [
    DemoProject(
        slug="demo-text",
        name="Demo: short answers",
        modality="text",
        guidelines=(
            "Two answers to the same prompt. **Which would you rather have been given?**\n\n"
            "1. A correct answer beats a wrong one, however well it is written.\n"
            "2. Of two correct answers the one that does what was asked, and stops there, wins.\n"
            "3. If you cannot tell them apart, say *tie*; if both are useless, *both bad*."
        ),
        parts={"text": "title_text"},
    ),
    DemoProject(
        slug="demo-image",
        name="Demo: pictures",
        modality="image",
        guidelines=(
            "Two pictures for the same prompt. **Which fits it better and looks better?**\n\n"
            "- *Photographs*: look for blocks, ringing, noise, lost detail and false colour.\n"
            "- *Digits*: the one that you would read without hesitation as the digit asked for."
        ),
        parts={
            "photos": "title_photos",
            "digits": "title_digits",
        },
    ),
    DemoProject(
        slug="demo-video",
        name="Demo: clips",
        modality="video",
        guidelines=(
            "Two encodings of the same clip. **Which would you rather watch?**\n\n"
            "Look for smooth motion first, then for sharpness and for blocks."
        ),
        parts={"clips": "title_clips"},
    ),
]


def accounts_path() -> Path:
    return Path(settings.DATA_DIR) / ACCOUNTS_FILE


def demo_accounts() -> dict[str, str]:
    """User name → password of the demo people, made at random once and kept for their owner only.

    A password is empty where the person was there before the demo and has one of their own.
    STEELYARD_DEMO_PASSWORD, where set, is everybody's password on a first start.
    """
    path = accounts_path()
    if path.exists():
        return json.loads(path.read_text())
    given = os.environ.get("STEELYARD_DEMO_PASSWORD")
    there = set(User.objects.filter(username__in=PEOPLE).values_list("username", flat=True))
    accounts = {name: "" if name in there else given or secrets.token_urlsafe(9) for name in PEOPLE}
    _keep(accounts)
    return accounts


def _keep(accounts: dict[str, str]) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    path = accounts_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        json.dump(accounts, stream)
    partial.replace(path)


@transaction.atomic
def setup_demo() -> list[Run]:
    """Make what is not there yet: people, projects, and a run for each part never built.

    A part whose run failed or was cancelled is started again.

    Returns:
        the runs that were started now.
    """
    people = _people()
    started = []
    for demo in PROJECTS:
        project, _ = Project.objects.get_or_create(
            slug=demo.slug,
            defaults={
                "name": demo.name,
                "modality": demo.modality,
                "guidelines": demo.guidelines,
                "created_by": people["admin"],
            },
        )
        for name, role in PEOPLE.items():
            Membership.objects.get_or_create(
                project=project, user=people[name], defaults={"role": role}
            )
        started += _start_missing(project, demo, people["admin"])
    return started


def _people() -> dict[str, User]:
    people = {}
    for name, password in demo_accounts().items():
        user, created = User.objects.get_or_create(username=name)
        if created:
            user.set_password(password)
            user.is_superuser = name == "admin"
            user.save()
        people[name] = user
    return people


def _start_missing(project: Project, demo: DemoProject, by: User) -> list[Run]:
    runs = []
    limit = {"limit": settings.DEMO_PROMPTS} if settings.DEMO_PROMPTS > 0 else {}
    for part, title in demo.parts.items():
        done = Run.objects.filter(project=project, kind="demo", spec__part=part).exclude(
            state__in=["failed", "cancelled"]
        )
        if not done.exists():
            runs.append(
                start_run(
                    project=project,
                    kind="demo",
                    title=Said(WORDS, title),
                    spec={"part": part, **limit},
                    by=by,
                )
            )
    return runs

"""The arena's pages for those who are invited: ask, read both answers, vote, see who it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import ceil
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation import sides
from annotation.models import Prompt
from evaluation import arena_battles, arena_serving
from evaluation.arena_runner import PARTS
from evaluation.forms_arena import QuestionForm
from evaluation.models_arena import SIDES, Arena, Battle, Turn, Visitor
from steelyard.accounts.addresses import address_of
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.policy import STAFF, role_in
from steelyard.runs.models import RunState
from steelyard.web.limits import wait_for


@login_not_required
@never_cache
def arena(request: HttpRequest, token: str) -> HttpResponse:
    """The question; sent, two contestants answer it on the battle's page."""
    found, user = _arena(token), _user(request)
    if refused := _refused(request, found, user):
        return refused
    visitor = _visitor(request, found, user)
    agreed = visitor is not None and visitor.agreed_at is not None
    form = QuestionForm(request.POST or None, arena=found, agreed=agreed)
    if request.method == "POST" and form.is_valid():
        try:
            _limit(request, found, visitor)
            if visitor is None:
                visitor = arena_battles.welcome(arena=found, user=user)
                request.session[_cookie(found)] = str(visitor.key)
            begun = arena_battles.ask(visitor=visitor, **_asked(form, found))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect("arena:battle", found.token, begun.uuid)
    if request.method == "GET":
        arena_serving.wake(found)
    context = {"arena": found, "form": form, "votes": _votes_of(visitor)}
    context["takes"] = Prompt.objects.filter(project=found.project, media=[]).exists()
    status = 422 if form.errors else 200
    return render(request, "evaluation/arena.html", context, status=status)


@login_not_required
@never_cache
@require_GET
def battle(request: HttpRequest, token: str, battle: UUID) -> HttpResponse:
    """Both answers as far as they are, the verdict once they are there, the names after it."""
    found = _battle(request, token, battle)
    if isinstance(found, HttpResponse):
        return found
    return _page(request, found)


@login_not_required
@never_cache
@require_GET
def answers(request: HttpRequest, token: str, battle: UUID) -> HttpResponse:
    """What has been written since: the page asks a few times a second.

    It is asked and not held open: a stream keeps one of the web server's few threads for as long
    as somebody reads.
    """
    found = _battle(request, token, battle)
    if isinstance(found, HttpResponse):
        return HttpResponse(status=404)
    turn = _last_turn(found)
    body: dict[str, Any] = {"state": str(turn.state), "turn": turn.number, "wait": ""}
    for side in SIDES:
        text, known = arena_serving.said_so_far(turn, side), request.GET.get(side, "0")
        had = int(known) if known.isdecimal() and int(known) <= len(text) else 0
        body[side] = {"from": had, "text": text[had:], "state": turn.state_of(side)}
    if turn.state == Turn.State.WAITING and not (body["left"]["text"] or body["right"]["text"]):
        body["wait"] = _what_it_waits_for(turn)
    return JsonResponse(body)


Act = Callable[[HttpRequest, Battle], object]


def _acts(act: Act) -> Callable[..., HttpResponse]:
    """A view that does something to its visitor's own battle and comes back to it; what is refused
    is told there."""

    @login_not_required
    @require_POST
    @wraps(act)
    def view(request: HttpRequest, token: str, battle: UUID) -> HttpResponse:
        found = _battle(request, token, battle)
        if isinstance(found, HttpResponse):
            return found
        _last_turn(found)
        try:
            act(request, found)
        except UserError as error:
            return _page(request, found, error)
        return redirect("arena:battle", token, battle)

    return view


@_acts
def go_on(request: HttpRequest, battle: Battle) -> None:
    """One question more to the same two."""
    _limit(request, battle.arena, battle.visitor)
    arena_battles.go_on(battle=battle, question=request.POST.get("question", ""))


@_acts
def again(request: HttpRequest, battle: Battle) -> None:
    """The last question once more, where it failed."""
    _limit(request, battle.arena, battle.visitor)
    arena_battles.try_again(battle=battle)


@_acts
def vote(request: HttpRequest, battle: Battle) -> None:
    """The verdict, after which the names are told."""
    arena_battles.vote(battle=battle, value=request.POST.get("verdict", ""))


def _page(request: HttpRequest, found: Battle, error: UserError | None = None) -> HttpResponse:
    turns = list(found.turns.select_related(*PARTS).order_by("number"))
    turns[-1] = arena_serving.collect(turns[-1])
    last, scheme = turns[-1], found.arena.project.scheme
    scale = sides.scale(scheme["steps"], scheme["tie"])
    judgment = found.judgment
    chosen = ""
    if judgment is not None:
        said = sides.turned(judgment.outcome, judgment.strength, bool(judgment.swapped))
        chosen = sides.value_of(*said)
    user = _user(request)
    is_staff = user is not None and role_in(user, found.arena.project) in STAFF
    context = {
        "arena": found.arena,
        "battle": found,
        "turns": turns,
        "last": last,
        "scale": [*scale, *([sides.BOTH_BAD] if scheme["both_bad"] else [])],
        "chosen": chosen,
        "may_go_on": last.number < found.arena.most_turns and found.visitor.agreed_at is not None,
        "wait": _what_it_waits_for(last) if last.state == Turn.State.WAITING else "",
        "error": error,
        "is_staff": is_staff,
    }
    status = error.status if error else 200
    return render(request, "evaluation/arena_battle.html", context, status=status)


def _arena(token: str) -> Arena:
    found = Arena.objects.select_related("project", "run").filter(token=token).first()
    if found is None:
        raise Http404("No such arena.")
    return found


def _user(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _refused(request: HttpRequest, found: Arena, user: User | None) -> HttpResponse | None:
    """To whom a members' arena is closed: who is not signed in may do so, others find nothing."""
    if found.access == Arena.Access.LINK:
        return None
    if user is None:
        return redirect_to_login(request.get_full_path())
    if role_in(user, found.project) is None:
        raise Http404("No such arena.")
    return None


def _visitor(request: HttpRequest, found: Arena, user: User | None) -> Visitor | None:
    key = request.session.get(_cookie(found))
    return arena_battles.visitor_of(arena=found, user=user, key=key)


def _cookie(found: Arena) -> str:
    return f"arena-{found.pk}"


def _battle(request: HttpRequest, token: str, uuid: UUID) -> Battle | HttpResponse:
    """Load and authorise in one call: a battle is its visitor's alone.

    Raises:
        Http404: there is none, or it is another's.
    """
    found, user = _arena(token), _user(request)
    if refused := _refused(request, found, user):
        return refused
    visitor = _visitor(request, found, user)
    rows = Battle.objects.select_related(
        "arena__project",
        "arena__run",
        "left__project",
        "right__project",
        "prompt",
        "judgment",
        "visitor__arena__project",
    )
    mine = rows.filter(arena=found, uuid=uuid, visitor=visitor).first() if visitor else None
    if mine is None:
        raise Http404("No such battle.")
    return mine


def _last_turn(found: Battle) -> Turn:
    turn = found.turns.select_related(*PARTS).order_by("number").last()
    assert turn is not None
    return arena_serving.collect(turn)


def _limit(request: HttpRequest, found: Arena, visitor: Visitor | None) -> None:
    """Count a question of the visitor and of their address.

    Raises:
        UserError: they have asked too often in this minute.
    """
    limits = {f"arena-address:{address_of(request)}": settings.ARENA_QUESTIONS_OF_ADDRESS}
    if visitor is not None:
        limits[f"arena-visitor:{visitor.key}"] = settings.ARENA_QUESTIONS
    if wait := ceil(wait_for(limits)):
        message = ngettext(
            "That is many questions in a minute. Ask again in %(count)s second.",
            "That is many questions in a minute. Ask again in %(count)s seconds.",
            wait,
        )
        raise UserError(message % {"count": wait}, code="too_many_questions", status=429)


def _asked(form: QuestionForm, found: Arena) -> dict[str, Any]:
    """The keyword arguments of ``ask``."""
    if not form.takes:
        return {"question": form.cleaned_data["question"], "agreed": form.cleaned_data["agreed"]}
    draws = Battle.objects.filter(arena=found).exclude(prompt=None).count()
    prompt = arena_battles.taken_prompt(found, draws)
    if prompt is None:
        raise UserError(_("This project has no prompts yet; write a question."), field="question")
    return {"prompt": prompt}


def _votes_of(visitor: Visitor | None) -> int:
    return visitor.battles.exclude(judgment=None).count() if visitor else 0


def _what_it_waits_for(turn: Turn) -> str:
    """In a visitor's words; what they say of the models tells nothing."""
    run = turn.run
    if run is None or run.state == RunState.QUEUED:
        # its status says where it waits for a GPU
        return (run and run.doing) or _("Waits for a free place on the server.")
    if not run.done and run.state == RunState.RUNNING:
        began = turn.created_at if run.started_at is None else run.started_at
        seconds = max(0, int((timezone.now() - began).total_seconds()))
        return ngettext(
            "The contestants are being loaded; the first answers take longest. %(count)s second "
            "so far.",
            "The contestants are being loaded; the first answers take longest. %(count)s seconds "
            "so far.",
            seconds,
        ) % {"count": seconds}
    return _("The contestants are thinking.")

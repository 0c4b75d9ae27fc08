from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_POST

from evaluation.board_votes import Options
from evaluation.categories import ByCategory, by_category, of_model
from evaluation.features import CONTROL_WORDS, costs_of, lengths_of
from evaluation.forms_board import LeaderboardFilter, PublishForm
from evaluation.forms_filters import one_of, refuse
from evaluation.headtohead import LEAST, examples, match, matrix, votes_on
from evaluation.leaderboard import FEW_PROMPTS, Standings, standings
from evaluation.models_board import PublishedBoard
from evaluation.serializers_board import PublishedDetailSerializer, board_as_json
from evaluation.services_board import changes, publish_board, since
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.lib.spreadsheet import csv_lines
from steelyard.projects.models import Project
from steelyard.projects.policy import ADMINS, get_project, get_visible, role_in
from steelyard.registry.models import ModelVersion
from steelyard.web.plotting import Row

PER_PAGE = 25
_COLUMNS = (
    "group",
    "rank_lo",
    "rank_hi",
    "model",
    "rating",
    "lo",
    "hi",
    "win_rate",
    "votes",
    "prompts",
    "mean_length",
    "median_length",
    "cost",
    "expected_win",
    "expected_tie",
    "expected_loss",
    "why_not_rated",
)
SHOWN = {
    "observed": gettext_lazy("win rates as observed"),
    "predicted": gettext_lazy("as the ratings expect them"),
    "residual": gettext_lazy("observed less expected"),
}
SIZES = (10, 20, 50)


def leaderboard(request: HttpRequest, project: str) -> HttpResponse | StreamingHttpResponse:
    """The page, or with ``format=csv`` or ``format=json`` its table."""
    found, chosen, board = _asked(request, project)
    if request.GET.get("format") == "json":
        return _json(f"{found.slug}-leaderboard", board_as_json(board))
    if request.GET.get("format") == "csv":
        return _csv(f"{found.slug}-leaderboard", _rows(board_as_json(board)))
    context: dict[str, Any] = {
        **_context(found, chosen, board),
        "lengths": lengths_of(found),
        "costs": costs_of(found),
        "currency": settings.CURRENCY,
        "control_words": CONTROL_WORDS,
        "may_publish": role_in(user_of(request), found) in ADMINS,
        "publish": PublishForm(auto_id="publish-%s"),
        "published": PublishedBoard.objects.filter(project=found).count(),
    }
    return render(request, "evaluation/leaderboard.html", context)


def leaderboard_matrix(request: HttpRequest, project: str) -> HttpResponse | StreamingHttpResponse:
    """Who beat whom."""
    found, chosen, board = _asked(request, project)
    told = chosen.not_read
    show = one_of(request, "show", SHOWN, gettext("What the cells show"), told) or "observed"
    sizes = ["all", *map(str, SIZES)]
    size = one_of(request, "top", sizes, gettext("How many models"), told) or str(SIZES[1])
    most = None if size == "all" else int(size)
    rows = matrix(board, most)
    if request.GET.get("format") == "csv":
        refuse(told)
        cells = [
            (row.model.name, *(getattr(cell, name) for name in _CELLS[1:]))
            for row in matrix(board)
            for cell in row.cells
            if not cell.is_self
        ]
        return _csv(f"{found.slug}-matrix", cells, _CELLS)
    context = {
        **_context(found, chosen, board),
        "rows": [
            (row, [(cell, cell.value(show), cell.tilt(show)) for cell in row.cells]) for row in rows
        ],
        "show": show,
        "shown": SHOWN,
        "sizes": SIZES,
        "most": most,
        "models": board.rated + len(board.unrated),
        "least": LEAST,
    }
    return render(request, "evaluation/leaderboard_matrix.html", context)


_CELLS = (
    "model",
    "other",
    "votes",
    "wins",
    "ties",
    "losses",
    "observed",
    "predicted",
    "residual",
)


def leaderboard_match(request: HttpRequest, project: str, first: int, second: int) -> HttpResponse:
    """Two models against each other: the votes of the leaderboard, and the pairs they are on."""
    found = get_project(user_of(request), project)
    models = ModelVersion.objects.filter(project=found).in_bulk([first, second])
    if len(models) != 2:
        raise Http404("No such two models.")
    chosen = LeaderboardFilter(request.GET, project=found)
    options = chosen.options
    sides = models[first], models[second]
    told = chosen.not_read
    outcome = one_of(request, "outcome", ("win", "tie", "loss"), gettext("Only where"), told)
    page = Paginator(examples(found, options, *sides, outcome), PER_PAGE).get_page(
        request.GET.get("page")
    )
    votes_on(found, list(page.object_list))
    sources = ["people", "judges"] if options.source == "combined" else [options.source]
    context = {
        "project": found,
        "filter": chosen,
        "options": options,
        "first": sides[0],
        "second": sides[1],
        "matches": [(source, match(found, _only(options, source), *sides)) for source in sources],
        "outcome": outcome,
        "page": page,
    }
    return render(request, "evaluation/leaderboard_match.html", context)


def _only(options: Options, source: str) -> Options:
    judge = options.judge if source == "judges" else None
    return Options(source, judge, options.category, options.until, options.without)


def leaderboard_categories(request: HttpRequest, project: str) -> HttpResponse:
    """Ratings by category, and one model's win rates from category to category."""
    found = get_project(user_of(request), project)
    chosen = LeaderboardFilter(request.GET, project=found)
    options = chosen.options
    # style and judges' help need more votes than a category has
    plain = "people" if options.source == "combined" else options.source
    options = Options(plain, options.judge, "", options.until, options.without, equal=options.equal)
    split = by_category(found, options)
    model = _chosen_model(request, split, chosen)
    rates = of_model(found, options, model) if model else []
    context = {
        "project": found,
        "filter": chosen,
        "options": options,
        "split": split,
        "table": [(one, [c.rows.get(one.pk) for c in split.categories]) for one in split.models],
        "model": model,
        "rates": rates,
        "forest": [
            Row(
                name=str(one.name) or gettext("no category"),
                value=one.rate.rate,
                lo=one.rate.lo,
                hi=one.rate.hi,
                n=one.rate.votes,
                marked=one.stands_out,
            )
            for one in rates
        ],
        "is_combined": chosen.options.source == "combined",
    }
    return render(request, "evaluation/leaderboard_categories.html", context)


def _chosen_model(
    request: HttpRequest, split: ByCategory, chosen: LeaderboardFilter
) -> ModelVersion | None:
    known = {str(one.pk): one for one in split.models}
    asked = one_of(request, "model", known, gettext("Model"), chosen.not_read)
    return known.get(asked, split.models[0] if split.models else None)


def published_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    rows = PublishedBoard.objects.filter(project=found).select_related("created_by")
    page = Paginator(rows.defer("ballots"), PER_PAGE).get_page(request.GET.get("page"))
    context = {"project": found, "page": page}
    return render(request, "evaluation/leaderboards_published.html", context)


@require_POST
def leaderboard_publish(request: HttpRequest, project: str) -> HttpResponse:
    """Keep the leaderboard that the address's options make, as it stands now."""
    found = get_project(user_of(request), project, ADMINS)
    form = PublishForm(request.POST, auto_id="publish-%s")
    chosen = LeaderboardFilter(request.GET, project=found)
    if form.is_valid():
        try:
            return redirect(
                publish_board(
                    project=found,
                    options=chosen.options,
                    title=form.cleaned_data["title"],
                    note=form.cleaned_data["note"],
                    by=user_of(request),
                )
            )
        except UserError as error:
            form.add_error(None, error.message)
    board = standings(found, chosen.options)
    context = {
        **_context(found, chosen, board),
        "lengths": lengths_of(found),
        "costs": costs_of(found),
        "currency": settings.CURRENCY,
        "control_words": CONTROL_WORDS,
        "may_publish": True,
        "publish": form,
        "published": PublishedBoard.objects.filter(project=found).count(),
    }
    return render(request, "evaluation/leaderboard.html", context, status=400)


def published_detail(
    request: HttpRequest, project: str, number: int
) -> HttpResponse | StreamingHttpResponse:
    """A published leaderboard as it was; with ``now=1`` beside the same options today."""
    rows = PublishedBoard.objects.select_related("project", "created_by")
    published = get_visible(rows, user_of(request), number=number, project__slug=project)
    name = f"{published.project.slug}-leaderboard-{published.number}"
    if request.GET.get("format") == "csv":
        return _csv(name, _rows(published.result))
    if request.GET.get("format") == "json":
        published.since, published.now = since(published), None  # type: ignore[attr-defined]
        return _json(name, PublishedDetailSerializer(published).data)
    context = {
        "project": published.project,
        "published": published,
        "since": since(published),
        "changes": changes(published) if request.GET.get("now") else None,
        "control_words": CONTROL_WORDS,
        "few_prompts": published.result["prompts"] < FEW_PROMPTS,
        "has_length": any(row["mean_length"] for row in published.result["standings"]),
        "has_cost": any(row.get("cost") is not None for row in published.result["standings"]),
        "currency": settings.CURRENCY,
        "several": any(row["group"] > 1 for row in published.result["standings"]),
    }
    return render(request, "evaluation/leaderboard_published.html", context)


def _asked(request: HttpRequest, project: str) -> tuple[Project, LeaderboardFilter, Standings]:
    found = get_project(user_of(request), project)
    chosen = LeaderboardFilter(request.GET, project=found)
    if request.GET.get("format"):
        refuse(chosen.not_read)
    return found, chosen, standings(found, chosen.options)


def _context(found: Project, chosen: LeaderboardFilter, board: Standings) -> dict[str, Any]:
    """What every view of a board shows."""
    options = chosen.options
    return {
        "project": found,
        "filter": chosen,
        "standings": board,
        "options": options,
        "source": options.source,
        "judge": options.judge,
        "category": options.category,
    }


def _rows(said: dict[str, Any]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for row in said["standings"]:
        expected = row["expected"] or {"win": "", "tie": "", "loss": ""}
        plain = [row.get(name) for name in _COLUMNS[:13]]
        rows.append((*plain, expected["win"], expected["tie"], expected["loss"], ""))
    for left in said["unrated"]:
        known = {name: left[name] for name in ("model", "win_rate", "votes")}
        rows.append((*(known.get(name, "") for name in _COLUMNS[:-1]), left["reason"]))
    return rows


def _csv(
    name: str, rows: Iterable[tuple[object, ...]], columns: tuple[str, ...] = _COLUMNS
) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        csv_lines(columns, rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _json(name: str, said: Any) -> JsonResponse:
    disposition = f'attachment; filename="{name}.json"'
    return JsonResponse(said, headers={"Content-Disposition": disposition})

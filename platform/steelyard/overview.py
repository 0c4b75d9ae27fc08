"""Where a project's loop stands. At the composition root, because it looks into every room."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation.models import Annotator, Judgment, OutputSet, Pair
from annotation.querysets import OutputSetQuerySet, PairQuerySet
from annotation.services.queue import progress_of
from annotation.services.ranking_queue import progress_in_sets
from evaluation.models import Evaluation
from steelyard.accounts.models import User
from steelyard.accounts.people import user_of
from steelyard.projects.models import Project
from steelyard.projects.policy import ANY_ROLE, get_project
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.runs.models import Run
from steelyard.runs.querysets import RunQuerySet


@dataclass(frozen=True)
class Standing:
    """The numbers of one project, and what they ask for next."""

    project: Project
    is_ranking: bool
    pairs: int
    """What there is to label: pairs, or sets where the project asks for rankings."""
    open_pairs: int
    by_people: int
    by_judges: int
    versions: int
    latest_version: DatasetVersion | None
    models: int
    trained: int
    unevaluated: ModelVersion | None
    """The newest model trained here that no evaluation has as its candidate."""
    active_runs: list[Run]
    failed_run: Run | None
    """The newest run, if it failed."""
    evaluations: int
    waiting: int
    """Comparisons of evaluations by people that wait for votes."""

    @property
    def next(self) -> tuple[str, str, int]:
        """The one thing to do next: what the button says, where it leads, and the number of the
        step on the page that it belongs to."""
        slug = self.project.slug
        run = self.active_runs[0] if self.active_runs else None
        if not self.pairs:
            if run and run.kind == "demo":
                return _("Watch the demo being built"), run.get_absolute_url(), 1
            return _("Bring in pairs"), reverse("annotation:import", args=[slug]), 1
        if self.waiting:
            return _("Label the comparisons"), reverse("annotation:label", args=[slug]), 5
        if not self.by_people and not self.by_judges:
            return _("Label pairs"), reverse("annotation:label", args=[slug]), 2
        if self.latest_version is None:
            return _("Freeze a version"), reverse("annotation:version-new", args=[slug]), 3
        if run is not None:
            return _("Watch: %(run)s") % {"run": run.called}, run.get_absolute_url(), 4
        if self.unevaluated is not None:
            url = reverse("evaluation:evaluation-new", args=[slug])
            return (
                _("Evaluate %(model)s") % {"model": self.unevaluated},
                f"{url}?model={self.unevaluated.pk}",
                5,
            )
        if not self.trained:
            url = reverse("training:training-new", args=[slug])
            return _("Train a model"), f"{url}?version={self.latest_version.pk}", 4
        return _("Leaderboard"), reverse("evaluation:leaderboard", args=[slug]), 5


def is_ranking(project: Project) -> bool:
    return project.scheme["task"] == "ranking"


def to_label(project: Project) -> PairQuerySet | OutputSetQuerySet:
    """What people are to label, as coverage counts it: without the training round and what was
    taken out. Of a ranking project these are its sets, not the pairs that they come to."""
    if is_ranking(project):
        return OutputSet.objects.filter(project=project, closed=False)
    return Pair.objects.filter(project=project, closed=False, is_training=False)


def _demos(project: Project) -> RunQuerySet:
    """Runs that build a demo at this moment."""
    return Run.objects.active().filter(project=project, kind="demo")


def standing(project: Project) -> Standing:
    """Eleven small counts, each over an index."""
    labelled = to_label(project)
    pairs = Pair.objects.filter(project=project, closed=False)
    votes = Judgment.objects.decisive().filter(project=project)
    versions = DatasetVersion.objects.filter(project=project).select_related("dataset")
    models = ModelVersion.objects.filter(project=project)
    trained = models.filter(trained_on__isnull=False)
    runs = Run.objects.filter(project=project).select_related("project")
    newest = runs.first()
    evaluations = Evaluation.objects.filter(project=project)
    waiting = pairs.filter(comparisons__evaluation__ask_people=True, judged__lt=F("wanted"))
    return Standing(
        project=project,
        is_ranking=is_ranking(project),
        pairs=labelled.count(),
        open_pairs=labelled.open().count(),
        by_people=votes.by_people().count(),
        by_judges=votes.by_judges().count(),
        versions=versions.count(),
        latest_version=versions.first(),
        models=models.count(),
        trained=trained.count(),
        unevaluated=trained.filter(evaluations__isnull=True).first(),
        active_runs=list(runs.active()[:5]),
        failed_run=newest if newest and newest.state == "failed" else None,
        evaluations=evaluations.count(),
        waiting=waiting.distinct().count(),
    )


@require_safe
def project_overview(request: HttpRequest, project: str) -> HttpResponse:
    """A fragment for the project's page: the loop with its numbers."""
    found = get_project(user_of(request), project)
    return render(request, "projects/overview.html", {"project": found, "at": standing(found)})


def _waiting_for(user: User, project: Project, still_open: int) -> int:
    """How much of what is open the person can still label: not what they have skipped, what they
    wrote themselves or what is kept for others. Whoever has never labelled here may take all."""
    annotator = Annotator.objects.filter(project=project, user=user).first()
    if annotator is None:
        return still_open
    annotator.project = project
    progress = progress_in_sets(annotator) if is_ranking(project) else progress_of(annotator)
    return min(still_open, progress["left"] or 0)


@require_safe
def project_progress(request: HttpRequest, project: str) -> HttpResponse:
    """A fragment for the list of projects, also for annotators: how much there is to label."""
    found = get_project(user_of(request), project, ANY_ROLE)
    labelled = to_label(found)
    there = labelled.count()
    still_open = labelled.open().count()
    mine = _waiting_for(user_of(request), found, still_open)
    context = {
        "is_ranking": is_ranking(found),
        "there": there,
        "open": still_open,
        "mine": mine,
        "others": still_open > mine,
        "project": found,
        "being_built": not there and _demos(found).exists(),
    }
    return render(request, "projects/progress.html", context)

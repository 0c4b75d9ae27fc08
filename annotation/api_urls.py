from django.urls import path

from annotation.api import coverage, flags, groups, judges, labelling, material, training, versions

_PROJECT = "projects/<slug:project>"
urlpatterns = [
    path(f"{_PROJECT}/next", labelling.Next.as_view(), name="next"),
    path(f"{_PROJECT}/progress", labelling.Progress.as_view(), name="progress"),
    path(f"{_PROJECT}/judgments", labelling.JudgmentList.as_view(), name="judgments"),
    path(f"{_PROJECT}/judgments/mine", labelling.JudgmentsMine.as_view(), name="judgments-mine"),
    path(
        f"{_PROJECT}/judgments/<uuid:uuid>/amend",
        labelling.JudgmentAmend.as_view(),
        name="judgment-amend",
    ),
    path(f"{_PROJECT}/leases/renew", labelling.Renew.as_view(), name="leases-renew"),
    path(f"{_PROJECT}/training/next", training.TrainingNext.as_view(), name="training-next"),
    path(f"{_PROJECT}/training/answers", training.TrainingAnswers.as_view(), name="training"),
    path(f"{_PROJECT}/pairs/<int:pk>/flags", flags.PairFlags.as_view(), name="pair-flags"),
    path(f"{_PROJECT}/flags", flags.FlagList.as_view(), name="flags"),
    path(f"{_PROJECT}/flags/<int:pk>/resolve", flags.FlagResolve.as_view(), name="flag-resolve"),
    path(f"{_PROJECT}/prompts", material.PromptList.as_view(), name="prompts"),
    path(f"{_PROJECT}/outputs", material.OutputList.as_view(), name="outputs"),
    path(f"{_PROJECT}/pairs", material.PairList.as_view(), name="pairs"),
    path(f"{_PROJECT}/import", material.Import.as_view(), name="import"),
    path(f"{_PROJECT}/annotators", judges.AnnotatorList.as_view(), name="annotators"),
    path(f"{_PROJECT}/annotators/<int:pk>", coverage.AnnotatorDetail.as_view(), name="annotator"),
    path(
        f"{_PROJECT}/annotators/<int:pk>/release",
        coverage.AnnotatorRelease.as_view(),
        name="annotator-release",
    ),
    path(f"{_PROJECT}/labelling", coverage.Labelling.as_view(), name="labelling"),
    path(f"{_PROJECT}/labelling/pause", coverage.LabellingPause.as_view(), name="labelling-pause"),
    path(f"{_PROJECT}/groups", groups.GroupList.as_view(), name="groups"),
    path(f"{_PROJECT}/groups/<int:pk>", groups.GroupDetail.as_view(), name="group"),
    path(f"{_PROJECT}/groups/<int:pk>/pairs", groups.GroupPairs.as_view(), name="group-pairs"),
    path(f"{_PROJECT}/judges", judges.JudgeList.as_view(), name="judges"),
    path(f"{_PROJECT}/judges/<int:pk>/runs", judges.JudgeRuns.as_view(), name="judge-runs"),
    path(f"{_PROJECT}/versions/preview", versions.Preview.as_view(), name="version-preview"),
    path(f"{_PROJECT}/versions/publish", versions.Publish.as_view(), name="version-publish"),
]

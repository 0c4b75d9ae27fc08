from django.urls import path

from annotation.api import judges, labelling, material, versions

_PROJECT = "projects/<slug:project>"
urlpatterns = [
    path(f"{_PROJECT}/next", labelling.Next.as_view(), name="next"),
    path(f"{_PROJECT}/progress", labelling.Progress.as_view(), name="progress"),
    path(f"{_PROJECT}/judgments", labelling.JudgmentList.as_view(), name="judgments"),
    path(f"{_PROJECT}/prompts", material.PromptList.as_view(), name="prompts"),
    path(f"{_PROJECT}/outputs", material.OutputList.as_view(), name="outputs"),
    path(f"{_PROJECT}/pairs", material.PairList.as_view(), name="pairs"),
    path(f"{_PROJECT}/import", material.Import.as_view(), name="import"),
    path(f"{_PROJECT}/annotators", judges.AnnotatorList.as_view(), name="annotators"),
    path(f"{_PROJECT}/judges", judges.JudgeList.as_view(), name="judges"),
    path(f"{_PROJECT}/judges/<int:pk>/runs", judges.JudgeRuns.as_view(), name="judge-runs"),
    path(f"{_PROJECT}/versions/preview", versions.Preview.as_view(), name="version-preview"),
    path(f"{_PROJECT}/versions/publish", versions.Publish.as_view(), name="version-publish"),
]

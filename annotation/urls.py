from django.urls import path

from annotation.views import data, judges, labelling, versions

app_name = "annotation"
urlpatterns = [
    path("label/", labelling.label, name="label"),
    path("label/submit/", labelling.label_submit, name="label-submit"),
    path("import/", data.import_page, name="import"),
    path("prompts/", data.prompt_list, name="prompt-list"),
    path("pairs/", data.pair_list, name="pair-list"),
    path("pairs/<int:pk>/", data.pair_detail, name="pair-detail"),
    path("judgments/", data.judgment_list, name="judgment-list"),
    path("judgments.csv", data.judgment_download, name="judgment-download"),
    path("judges/", judges.judge_list, name="judge-list"),
    path("judges/new/", judges.judge_new, name="judge-new"),
    path("judges/<int:pk>/run/", judges.judge_run, name="judge-run"),
    path("versions/new/", versions.version_new, name="version-new"),
]

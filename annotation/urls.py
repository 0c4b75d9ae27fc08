from django.urls import path

from annotation.views import coverage, data, flags, groups, judges, label_page, labelling, versions

app_name = "annotation"
urlpatterns = [
    path("label/", labelling.label, name="label"),
    path("label/next/", labelling.label_next, name="label-next"),
    path("label/submit/", labelling.label_submit, name="label-submit"),
    path("label/keep/", label_page.label_keep, name="label-keep"),
    path("label/flag/", label_page.label_flag, name="label-flag"),
    path("label/mine/", label_page.label_mine, name="label-mine"),
    path("label/keys/", label_page.label_keys, name="label-keys"),
    path("labelling/", coverage.coverage, name="coverage"),
    path("labelling/now/", coverage.coverage_now, name="coverage-now"),
    path("labelling/pause/", coverage.coverage_pause, name="coverage-pause"),
    path("labelling/progress.csv", coverage.progress_download, name="progress-download"),
    path("labelling/people.csv", coverage.people_download, name="people-download"),
    path("labelling/people/<int:pk>/", coverage.person_change, name="person-change"),
    path("labelling/people/<int:pk>/pause/", coverage.person_pause, name="person-pause"),
    path("labelling/people/<int:pk>/release/", coverage.person_release, name="person-release"),
    path("groups/", groups.group_list, name="group-list"),
    path("groups/give/", groups.group_give, name="group-give"),
    path("groups/<int:pk>/", groups.group_detail, name="group-detail"),
    path("groups/<int:pk>/delete/", groups.group_delete, name="group-delete"),
    path("flags/", flags.flag_list, name="flag-list"),
    path("flags/<int:pk>/resolve/", flags.flag_resolve, name="flag-resolve"),
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

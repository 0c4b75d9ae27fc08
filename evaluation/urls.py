from django.urls import path

from evaluation import (
    arena_admin,
    urls_board,
    views,
    views_insight,
    views_judges,
    views_outputs,
    views_panel,
    views_pipelines,
    views_prompt_sets,
    views_reasons,
    views_revisions,
    views_routing,
    views_stopping,
)

app_name = "evaluation"
urlpatterns = [
    path("evaluations/", views.evaluation_list, name="evaluation-list"),
    path("evaluations/new/", views.evaluation_new, name="evaluation-new"),
    path("evaluations/<int:pk>/", views.evaluation_detail, name="evaluation-detail"),
    path(
        "evaluations/<int:pk>/comparisons/", views_insight.comparison_list, name="comparison-list"
    ),
    path(
        "evaluations/<int:pk>/comparisons/<int:number>/",
        views_insight.comparison_detail,
        name="comparison-detail",
    ),
    path("evaluations/<int:pk>/stop/", views_stopping.evaluation_stop, name="evaluation-stop"),
    path("evaluations/<int:pk>/go-on/", views_stopping.evaluation_go_on, name="evaluation-go-on"),
    path("evaluations/<int:pk>/ask/", views_panel.evaluation_ask, name="evaluation-ask"),
    path("evaluations/<int:pk>/resume/", views_panel.evaluation_resume, name="evaluation-resume"),
    path("prompt-sets/", views_prompt_sets.prompt_set_list, name="prompt-set-list"),
    path("prompt-sets/new/", views_prompt_sets.prompt_set_new, name="prompt-set-new"),
    path("prompt-sets/<int:pk>/", views_prompt_sets.prompt_set_detail, name="prompt-set-detail"),
    path(
        "prompt-sets/<int:pk>/delete/",
        views_prompt_sets.prompt_set_delete,
        name="prompt-set-delete",
    ),
    path(
        "prompt-sets/<int:pk>/gamed-rows/",
        views_prompt_sets.prompt_set_gamed_rows,
        name="prompt-set-gamed-rows",
    ),
    path("agreement/", views_insight.agreement, name="agreement"),
    path("best-of-n/", views_insight.best_of_n, name="best-of-n"),
    path("runs/<int:pk>/win-rates/", views_insight.win_rates_of_run, name="win-rates-of-run"),
    path("runs/<int:pk>/revisions/", views_revisions.revisions_of_run, name="revisions-of-run"),
    path("pipelines/search/", views_pipelines.pipeline_search_new, name="pipeline-search-new"),
    path("runs/<int:pk>/search/", views_pipelines.search_of_run, name="search-of-run"),
    path(
        "runs/<int:pk>/search/keep/",
        views_pipelines.pipeline_search_keep,
        name="pipeline-search-keep",
    ),
    path("outputs/<int:pk>/record/", views_pipelines.output_record, name="output-record"),
    path("rounds/new/", views.round_new, name="round-new"),
    path("generations/new/", views_outputs.generation_new, name="generation-new"),
    path("generations/<int:pk>/", views_outputs.generation_detail, name="generation-detail"),
    path("models/<int:pk>/evaluations/", views.evaluations_for_model, name="evaluations-for-model"),
    path("versions/<int:pk>/rankings/", views.rankings_for_version, name="rankings-for-version"),
    path("arenas/", arena_admin.arena_list, name="arena-list"),
    path("arenas/new/", arena_admin.arena_new, name="arena-new"),
    path("arenas/<int:pk>/", arena_admin.arena_detail, name="arena-detail"),
    path("arenas/<int:pk>/change/", arena_admin.arena_change, name="arena-change"),
    path(
        "arenas/<int:pk>/voters/<int:voter>/withdraw/",
        arena_admin.arena_withdraw,
        name="arena-withdraw",
    ),
    path("judgments/reasons/", views_reasons.reason_list, name="reason-list"),
    path("judges/ask-people/", views_routing.routing_new, name="routing-new"),
    path("judges/<int:pk>/card/", views_judges.judge_card, name="judge-card"),
    *urls_board.urlpatterns,
]

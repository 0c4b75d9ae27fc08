from django.urls import path

from evaluation import (
    api,
    api_arena,
    api_following,
    api_judges,
    api_length,
    api_pipelines,
    api_prompt_sets,
    api_reasons,
    api_revisions,
    api_routing,
    api_stopping,
    api_urls_board,
)

urlpatterns = [
    path("projects/<slug:project>/evaluations", api.EvaluationList.as_view(), name="evaluations"),
    path(
        "projects/<slug:project>/evaluations/<int:pk>",
        api.EvaluationDetail.as_view(),
        name="evaluation",
    ),
    path(
        "projects/<slug:project>/evaluations/<int:pk>/judges",
        api.EvaluationJudges.as_view(),
        name="evaluation-judges",
    ),
    path(
        "projects/<slug:project>/evaluations/<int:pk>/resume",
        api.EvaluationResume.as_view(),
        name="evaluation-resume",
    ),
    path(
        "projects/<slug:project>/evaluations/<int:pk>/stopping",
        api_stopping.EvaluationStopping.as_view(),
        name="evaluation-stopping",
    ),
    path(
        "projects/<slug:project>/evaluations/<int:pk>/length",
        api_length.EvaluationLength.as_view(),
        name="evaluation-length",
    ),
    path(
        "projects/<slug:project>/evaluations/<int:pk>/stop",
        api_stopping.EvaluationStop.as_view(),
        name="evaluation-stop",
    ),
    path(
        "projects/<slug:project>/evaluations/<int:pk>/go-on",
        api_stopping.EvaluationGoOn.as_view(),
        name="evaluation-go-on",
    ),
    path(
        "projects/<slug:project>/prompt-sets",
        api_prompt_sets.PromptSetList.as_view(),
        name="prompt-sets",
    ),
    path(
        "projects/<slug:project>/prompt-sets/<int:pk>",
        api_prompt_sets.PromptSetDetail.as_view(),
        name="prompt-set",
    ),
    path(
        "projects/<slug:project>/prompt-sets/<int:pk>/gamed-rows",
        api_prompt_sets.PromptSetGamedRows.as_view(),
        name="prompt-set-gamed-rows",
    ),
    path("projects/<slug:project>/generations", api.GenerationList.as_view(), name="generations"),
    path(
        "projects/<slug:project>/generations/<int:pk>",
        api.GenerationDetail.as_view(),
        name="generation",
    ),
    path(
        "projects/<slug:project>/judges/<int:pk>/card",
        api_judges.JudgeCard.as_view(),
        name="judge-card",
    ),
    path("projects/<slug:project>/reasons", api_reasons.ReasonThemes.as_view(), name="reasons"),
    path("projects/<slug:project>/routings", api_routing.RoutingList.as_view(), name="routings"),
    path(
        "projects/<slug:project>/routings/<int:pk>/pairs",
        api_routing.RoutedList.as_view(),
        name="routing-pairs",
    ),
    path("projects/<slug:project>/arenas", api_arena.ArenaList.as_view(), name="arenas"),
    path("projects/<slug:project>/arenas/<int:pk>", api_arena.ArenaDetail.as_view(), name="arena"),
    path(
        "projects/<slug:project>/outputs/<int:pk>/record",
        api_pipelines.OutputRecordDetail.as_view(),
        name="output-record",
    ),
    path(
        "projects/<slug:project>/pipeline-searches",
        api_pipelines.PipelineSearches.as_view(),
        name="pipeline-searches",
    ),
    path(
        "projects/<slug:project>/pipeline-searches/<int:pk>",
        api_pipelines.PipelineSearchDetail.as_view(),
        name="pipeline-search",
    ),
    path(
        "projects/<slug:project>/pipeline-searches/<int:pk>/pipelines",
        api_pipelines.PipelineSearchKeep.as_view(),
        name="pipeline-search-pipelines",
    ),
    path(
        "projects/<slug:project>/runs/<int:pk>/new-pairs",
        api_following.RunNewPairs.as_view(),
        name="run-new-pairs",
    ),
    path(
        "projects/<slug:project>/runs/<int:pk>/revisions",
        api_revisions.RunRevisions.as_view(),
        name="run-revisions",
    ),
    path("projects/<slug:project>/rounds", api.RoundList.as_view(), name="rounds"),
    *api_urls_board.urlpatterns,
]

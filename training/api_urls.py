from django.urls import include, path

from training import api, api_checkpoints

urlpatterns = [
    path("", include("training.sweeps.api_urls")),
    path("projects/<slug:project>/preflights", api.PreflightList.as_view(), name="preflights"),
    path(
        "projects/<slug:project>/preflights/<int:pk>",
        api.PreflightDetail.as_view(),
        name="preflight",
    ),
    path("recipes", api.RecipeList.as_view(), name="recipes"),
    path(
        "projects/<slug:project>/training-jobs",
        api.TrainingJobList.as_view(),
        name="training-jobs",
    ),
    path(
        "projects/<slug:project>/training-jobs/<int:pk>",
        api.TrainingJobDetail.as_view(),
        name="training-job",
    ),
    path(
        "projects/<slug:project>/training-jobs/<int:pk>/samples",
        api.TrainingJobSamples.as_view(),
        name="training-job-samples",
    ),
    path(
        "projects/<slug:project>/training-jobs/<int:pk>/checkpoints",
        api_checkpoints.CheckpointList.as_view(),
        name="checkpoints",
    ),
    path(
        "projects/<slug:project>/training-jobs/<int:pk>/checkpoints/<int:step>",
        api_checkpoints.CheckpointDetail.as_view(),
        name="checkpoint",
    ),
    path(
        "projects/<slug:project>/models/<int:pk>/tries", api.TryList.as_view(), name="model-tries"
    ),
    path("projects/<slug:project>/tries/<int:pk>", api.TryDetail.as_view(), name="try"),
]

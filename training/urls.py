from django.urls import include, path

from training import views, views_checkpoints, views_compare, views_run

app_name = "training"
urlpatterns = [
    path("train/", views.training_new, name="training-new"),
    path("", include("training.sweeps.urls")),
    path("train/compare/", views_compare.compare, name="compare"),
    path("train/preflights/<int:pk>/", views.preflight_report, name="preflight-report"),
    path("models/<int:pk>/try/", views_run.try_model, name="try-model"),
    path("models/tries/<int:pk>/", views_run.try_answer, name="try-answer"),
    path("versions/<int:pk>/trainings/", views.jobs_for_version, name="jobs-for-version"),
    path("runs/<int:pk>/samples/", views_run.samples_of_run, name="samples-of-run"),
    path("runs/<int:pk>/checkpoints/", views_checkpoints.checkpoints, name="checkpoints-of-run"),
    path("runs/<int:pk>/checkpoints/keep/", views_checkpoints.keep, name="checkpoints-keep"),
    path(
        "runs/<int:pk>/checkpoints/<int:step>/let-go/",
        views_checkpoints.let_one_go,
        name="checkpoint-let-go",
    ),
    path("runs/<int:pk>/training/", views.job_of_run, name="job-of-run"),
]

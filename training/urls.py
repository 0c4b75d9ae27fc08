from django.urls import path

from training import views, views_compare

app_name = "training"
urlpatterns = [
    path("train/", views.training_new, name="training-new"),
    path("train/compare/", views_compare.compare, name="compare"),
    path("train/preflights/<int:pk>/", views.preflight_report, name="preflight-report"),
    path("versions/<int:pk>/trainings/", views.jobs_for_version, name="jobs-for-version"),
    path("runs/<int:pk>/training/", views.job_of_run, name="job-of-run"),
]

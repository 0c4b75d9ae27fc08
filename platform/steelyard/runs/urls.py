from django.urls import path

from steelyard.runs import files, views

app_name = "runs"
urlpatterns = [
    path("runs/", views.run_list, name="run-list"),
    path("runs/queue/", views.run_queue, name="run-queue"),
    path("runs/<int:pk>/", views.run_detail, name="run-detail"),
    path("runs/<int:pk>/cancel/", views.run_cancel, name="run-cancel"),
    path("runs/<int:pk>/pause/", views.run_pause, name="run-pause"),
    path("runs/<int:pk>/resume/", views.run_resume, name="run-resume"),
    path("runs/<int:pk>/retry/", views.run_retry, name="run-retry"),
    path("runs/<int:pk>/metrics/", views.run_metrics, name="run-metrics"),
    path("runs/<int:pk>/log/", views.run_log, name="run-log"),
    path("runs/<int:pk>/files/<path:name>", files.run_file, name="run-file"),
]

from django.urls import path

from steelyard.runs import api

_RUN = "projects/<slug:project>/runs/<int:pk>"
urlpatterns = [
    path("projects/<slug:project>/runs", api.RunList.as_view(), name="runs"),
    path("projects/<slug:project>/queue", api.RunQueue.as_view(), name="run-queue"),
    path(_RUN, api.RunDetail.as_view(), name="run"),
    path(f"{_RUN}/cancel", api.RunCancel.as_view(), name="run-cancel"),
    path(f"{_RUN}/pause", api.RunPause.as_view(), name="run-pause"),
    path(f"{_RUN}/resume", api.RunResume.as_view(), name="run-resume"),
    path(f"{_RUN}/retry", api.RunRetry.as_view(), name="run-retry"),
    path(f"{_RUN}/metrics", api.RunMetrics.as_view(), name="run-metrics"),
    path(f"{_RUN}/metrics.csv", api.RunMetricsFile.as_view(), name="run-metrics-csv"),
    path(f"{_RUN}/made/<path:name>", api.RunMade.as_view(), name="run-made"),
    path(f"{_RUN}/log", api.RunLog.as_view(), name="run-log"),
]

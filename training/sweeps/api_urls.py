from django.urls import path

from training.sweeps import api

urlpatterns = [
    path("projects/<slug:project>/sweeps", api.SweepList.as_view(), name="sweeps"),
    path("projects/<slug:project>/sweeps/<int:pk>", api.SweepDetail.as_view(), name="sweep"),
    path(
        "projects/<slug:project>/sweeps/<int:pk>/pause",
        api.SweepPause.as_view(),
        name="sweep-pause",
    ),
    path(
        "projects/<slug:project>/sweeps/<int:pk>/resume",
        api.SweepResume.as_view(),
        name="sweep-resume",
    ),
    path(
        "projects/<slug:project>/sweeps/<int:pk>/cancel",
        api.SweepCancel.as_view(),
        name="sweep-cancel",
    ),
]

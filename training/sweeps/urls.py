from django.urls import path

from training.sweeps import views

urlpatterns = [
    path("sweeps/", views.sweep_list, name="sweep-list"),
    path("sweeps/new/", views.sweep_new, name="sweep-new"),
    path("sweeps/<int:pk>/", views.sweep_detail, name="sweep-detail"),
    path("sweeps/<int:pk>/trials.csv", views.sweep_trials, name="sweep-trials"),
    path("sweeps/<int:pk>/pause/", views.sweep_pause, name="sweep-pause"),
    path("sweeps/<int:pk>/cancel/", views.sweep_cancel, name="sweep-cancel"),
]

"""Where people are invited to: outside of projects, for a guest has none."""

from django.urls import path

from evaluation import arena_views as views

app_name = "arena"
urlpatterns = [
    path("<str:token>/", views.arena, name="arena"),
    path("<str:token>/<uuid:battle>/", views.battle, name="battle"),
    path("<str:token>/<uuid:battle>/answers/", views.answers, name="answers"),
    path("<str:token>/<uuid:battle>/ask/", views.go_on, name="go-on"),
    path("<str:token>/<uuid:battle>/again/", views.again, name="again"),
    path("<str:token>/<uuid:battle>/vote/", views.vote, name="vote"),
]

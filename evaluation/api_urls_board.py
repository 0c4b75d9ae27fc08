from django.urls import path

from evaluation import api_board as api

urlpatterns = [
    path("projects/<slug:project>/leaderboard", api.Leaderboard.as_view(), name="leaderboard"),
    path(
        "projects/<slug:project>/leaderboard/matrix",
        api.LeaderboardMatrix.as_view(),
        name="leaderboard-matrix",
    ),
    path(
        "projects/<slug:project>/leaderboard/categories",
        api.LeaderboardCategories.as_view(),
        name="leaderboard-categories",
    ),
    path("projects/<slug:project>/leaderboards", api.PublishedList.as_view(), name="leaderboards"),
    path(
        "projects/<slug:project>/leaderboards/<int:number>",
        api.PublishedDetail.as_view(),
        name="leaderboard-published",
    ),
]

from django.urls import path

from evaluation import views_leaderboard as views

urlpatterns = [
    path("leaderboard/", views.leaderboard, name="leaderboard"),
    path("leaderboard/matrix/", views.leaderboard_matrix, name="leaderboard-matrix"),
    path(
        "leaderboard/matches/<int:first>/<int:second>/",
        views.leaderboard_match,
        name="leaderboard-match",
    ),
    path("leaderboard/categories/", views.leaderboard_categories, name="leaderboard-categories"),
    path("leaderboard/publish/", views.leaderboard_publish, name="leaderboard-publish"),
    path("leaderboard/published/", views.published_list, name="leaderboard-published-list"),
    path(
        "leaderboard/published/<int:number>/",
        views.published_detail,
        name="leaderboard-published",
    ),
]

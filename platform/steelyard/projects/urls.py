from django.urls import path

from steelyard.projects import views

app_name = "projects"
urlpatterns = [
    path("", views.home, name="home"),
    path("projects/new/", views.project_new, name="project-new"),
    path("projects/preview/", views.guidelines_preview, name="guidelines-preview"),
    path("p/<slug:project>/", views.project_detail, name="project-detail"),
    path("p/<slug:project>/settings/", views.project_settings, name="project-settings"),
    path("p/<slug:project>/members/", views.member_list, name="member-list"),
    path("p/<slug:project>/members/<int:pk>/role/", views.member_role, name="member-role"),
    path("p/<slug:project>/members/<int:pk>/remove/", views.member_remove, name="member-remove"),
]

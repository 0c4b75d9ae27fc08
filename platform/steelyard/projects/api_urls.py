from django.urls import path

from steelyard.projects import api

urlpatterns = [
    path("me", api.Me.as_view(), name="me"),
    path("projects", api.ProjectList.as_view(), name="projects"),
    path("projects/<slug:project>", api.ProjectDetail.as_view(), name="project"),
    path("projects/<slug:project>/members", api.MemberList.as_view(), name="members"),
    path("projects/<slug:project>/members/<int:pk>", api.MemberDetail.as_view(), name="member"),
]

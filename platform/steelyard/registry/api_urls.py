from django.urls import path

from steelyard.registry import api

_VERSION = "projects/<slug:project>/versions/<int:pk>"
urlpatterns = [
    path("projects/<slug:project>/versions", api.VersionList.as_view(), name="versions"),
    path(_VERSION, api.VersionDetail.as_view(), name="version"),
    path(f"{_VERSION}/rows", api.VersionRows.as_view(), name="version-rows"),
    path(f"{_VERSION}/rows.<str:form>", api.VersionDownload.as_view(), name="version-download"),
    path("projects/<slug:project>/models", api.ModelList.as_view(), name="models"),
    path("projects/<slug:project>/models/<int:pk>", api.ModelDetail.as_view(), name="model"),
]

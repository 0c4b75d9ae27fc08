from django.urls import path

from steelyard.registry import api, api_layered, api_of_version

_VERSION = "projects/<slug:project>/versions/<int:pk>"
urlpatterns = [
    path("projects/<slug:project>/versions", api.VersionList.as_view(), name="versions"),
    path(_VERSION, api.VersionDetail.as_view(), name="version"),
    path(f"{_VERSION}/rows", api.VersionRows.as_view(), name="version-rows"),
    path(f"{_VERSION}/rows.<str:form>", api.VersionDownload.as_view(), name="version-download"),
    path(f"{_VERSION}/diff", api_of_version.VersionDiff.as_view(), name="version-diff"),
    path(
        f"{_VERSION}/statistics",
        api_of_version.VersionStatistics.as_view(),
        name="version-statistics",
    ),
    path(f"{_VERSION}/card", api_of_version.VersionCard.as_view(), name="version-card"),
    path(f"{_VERSION}/files/<str:name>", api_of_version.VersionFile.as_view(), name="version-file"),
    path(f"{_VERSION}/tags", api_of_version.VersionTags.as_view(), name="version-tags"),
    path(f"{_VERSION}/tags/<str:name>", api_of_version.VersionTag.as_view(), name="version-tag"),
    path(f"{_VERSION}/notes", api_of_version.VersionNotes.as_view(), name="version-notes"),
    path("projects/<slug:project>/models", api.ModelList.as_view(), name="models"),
    path("projects/<slug:project>/models/<int:pk>", api.ModelDetail.as_view(), name="model"),
    path(
        "projects/<slug:project>/models/<int:pk>/revised",
        api.ModelRevised.as_view(),
        name="model-revised",
    ),
    path(
        "projects/<slug:project>/models/<int:pk>/files",
        api.ModelFiles.as_view(),
        name="model-files",
    ),
    path(
        "projects/<slug:project>/models/<int:pk>/files/<path:name>",
        api.ModelDownload.as_view(),
        name="model-download",
    ),
    path("projects/<slug:project>/pipelines", api_layered.PipelineList.as_view(), name="pipelines"),
    path(
        "projects/<slug:project>/pipelines/check",
        api_layered.PipelineChecked.as_view(),
        name="pipeline-check",
    ),
]

from django.urls import path

from steelyard.registry import views, views_layered, views_of_version

app_name = "registry"
urlpatterns = [
    path("versions/", views.version_list, name="version-list"),
    path("versions/<int:pk>/", views.version_detail, name="version-detail"),
    path("versions/<int:pk>/rows.<str:form>", views.version_download, name="version-download"),
    path("versions/<int:pk>/diff/", views_of_version.version_diff, name="version-diff"),
    path(
        "versions/<int:pk>/statistics/",
        views_of_version.version_statistics,
        name="version-statistics",
    ),
    path("versions/<int:pk>/tag/", views_of_version.version_tag, name="version-tag"),
    path("versions/<int:pk>/note/", views_of_version.version_note, name="version-note"),
    path("versions/<int:pk>/README.md", views_of_version.version_card, name="version-card"),
    path(
        "versions/<int:pk>/croissant.json",
        views_of_version.version_croissant,
        name="version-croissant",
    ),
    path("versions/<int:pk>/files/<str:name>", views_of_version.version_file, name="version-file"),
    path(
        "versions/with-pair/<str:key>/", views_of_version.versions_of_pair, name="versions-of-pair"
    ),
    path("models/", views.model_list, name="model-list"),
    path("models/new/", views.model_new, name="model-new"),
    path("models/new-pipeline/", views_layered.pipeline_new, name="pipeline-new"),
    path("models/<int:pk>/", views.model_detail, name="model-detail"),
    path("models/<int:pk>/key/", views.model_key, name="model-key"),
    path("models/<int:pk>/revised/", views.model_revised, name="model-revised"),
    path("models/<int:pk>/prices/", views.model_prices, name="model-prices"),
    path("models/<int:pk>/files/<path:name>", views.model_file, name="model-file"),
]

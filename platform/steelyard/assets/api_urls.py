from django.urls import path

from steelyard.assets import api

urlpatterns = [
    path("projects/<slug:project>/assets", api.AssetList.as_view(), name="assets"),
    path("projects/<slug:project>/assets/<slug:sha256>", api.AssetDetail.as_view(), name="asset"),
    path(
        "projects/<slug:project>/assets/<slug:sha256>/file",
        api.AssetBytes.as_view(),
        name="asset-bytes",
    ),
    path(
        "projects/<slug:project>/assets/<slug:sha256>/renditions/<slug:kind>",
        api.RenditionBytes.as_view(),
        name="rendition-bytes",
    ),
]

from django.urls import path

from steelyard.assets import views

app_name = "assets"
urlpatterns = [
    path("<slug:project>/<slug:sha256>", views.asset_file, name="asset-file"),
    path("<slug:project>/<slug:sha256>/<slug:kind>", views.rendition_file, name="rendition-file"),
]

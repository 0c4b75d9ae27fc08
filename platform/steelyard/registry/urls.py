from django.urls import path

from steelyard.registry import views

app_name = "registry"
urlpatterns = [
    path("versions/", views.version_list, name="version-list"),
    path("versions/<int:pk>/", views.version_detail, name="version-detail"),
    path("versions/<int:pk>/rows.<str:form>", views.version_download, name="version-download"),
    path("models/", views.model_list, name="model-list"),
    path("models/new/", views.model_new, name="model-new"),
    path("models/<int:pk>/", views.model_detail, name="model-detail"),
    path("models/<int:pk>/key/", views.model_key, name="model-key"),
]

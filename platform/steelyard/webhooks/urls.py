from django.urls import path

from steelyard.webhooks import views

app_name = "webhooks"
urlpatterns = [
    path("webhooks/", views.endpoint_list, name="endpoint-list"),
    path("webhooks/<int:pk>/", views.endpoint_detail, name="endpoint-detail"),
    path("webhooks/<int:pk>/secret/", views.endpoint_secret, name="endpoint-secret"),
    path("webhooks/<int:pk>/test/", views.endpoint_test, name="endpoint-test"),
    path("webhooks/<int:pk>/delete/", views.endpoint_delete, name="endpoint-delete"),
    path(
        "webhooks/<int:pk>/deliveries/<int:delivery>/redeliver/",
        views.delivery_again,
        name="delivery-again",
    ),
]

from django.urls import path

from steelyard.webhooks import api

_ALL = "projects/<slug:project>/webhooks"
_ONE = f"{_ALL}/<int:pk>"
urlpatterns = [
    path(_ALL, api.EndpointList.as_view(), name="webhooks"),
    path(_ONE, api.EndpointDetail.as_view(), name="webhook"),
    path(f"{_ONE}/secret", api.EndpointSecret.as_view(), name="webhook-secret"),
    path(f"{_ONE}/test", api.EndpointTest.as_view(), name="webhook-test"),
    path(f"{_ONE}/deliveries", api.DeliveryList.as_view(), name="webhook-deliveries"),
    path(
        f"{_ONE}/deliveries/<int:delivery>/redeliver",
        api.DeliveryAgain.as_view(),
        name="webhook-redeliver",
    ),
]

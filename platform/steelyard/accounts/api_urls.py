from django.urls import path

from steelyard.accounts import api

urlpatterns = [
    path("tokens", api.TokenList.as_view(), name="tokens"),
    path("tokens/<int:pk>", api.TokenDetail.as_view(), name="token"),
]

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "steelyard.webhooks"
    label = "webhooks"

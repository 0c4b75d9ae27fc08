from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "steelyard.web"
    label = "steelyard_web"

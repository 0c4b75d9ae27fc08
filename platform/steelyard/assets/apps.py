from django.apps import AppConfig


class AssetsConfig(AppConfig):
    name = "steelyard.assets"
    label = "assets"

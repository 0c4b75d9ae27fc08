from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "steelyard.registry"
    label = "registry"

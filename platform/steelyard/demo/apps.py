from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "steelyard.demo"
    label = "steelyard_demo"

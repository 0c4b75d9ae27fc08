from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "steelyard.runs"
    label = "runs"

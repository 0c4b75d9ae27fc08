from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "steelyard.projects"
    label = "projects"

from django.apps import AppConfig


class SteelyardConfig(AppConfig):
    """The composition root. Loading Celery here keeps ``steelyard/__init__.py`` empty, so that
    an engine can import ``steelyard.lib`` without a web stack."""

    name = "steelyard"
    label = "steelyard_root"

    def ready(self) -> None:
        from steelyard import celery  # noqa: F401

from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "evaluation"

    def ready(self) -> None:
        from annotation.signals import judged
        from evaluation.tasks import wake

        judged.connect(wake, dispatch_uid="evaluation.wake")

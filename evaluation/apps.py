from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "evaluation"

    def ready(self) -> None:
        from annotation import blind
        from annotation.signals import judged
        from evaluation.blind import is_compared
        from evaluation.tasks import wake

        judged.connect(wake, dispatch_uid="evaluation.wake")
        if is_compared not in blind.tests:
            blind.tests.append(is_compared)

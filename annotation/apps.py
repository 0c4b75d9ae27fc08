from django.apps import AppConfig
from django.db.models.signals import pre_save


class AnnotationConfig(AppConfig):
    name = "annotation"

    def ready(self) -> None:
        from annotation.held import refuse_loaded

        for model in ("BattleChange", "HeldBattles"):
            pre_save.connect(refuse_loaded, sender=self.get_model(model))

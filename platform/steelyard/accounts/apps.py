from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "steelyard.accounts"
    label = "accounts"

    def ready(self) -> None:
        from steelyard.accounts import openapi  # noqa: F401  (registers itself)

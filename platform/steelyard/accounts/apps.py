from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "steelyard.accounts"
    label = "accounts"

"""``manage.py setup_demo``: the demo's people and projects; says how each role signs in."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from steelyard.demo.services import accounts_path, demo_accounts, setup_demo


class Command(BaseCommand):
    help = "Make the demo's people and projects, start building its material, print the sign-ins."

    def handle(self, *args: Any, **options: Any) -> None:
        started = setup_demo()
        for run in started:
            self.stdout.write(f"  building in the background: {run.title}")
        self.stdout.write("  sign in as")
        for name, password in demo_accounts().items():
            known = f"password {password}" if password else "the password you gave it"
            self.stdout.write(f"    {name:<11} {known}")
        self.stdout.write(f"  (kept in {accounts_path()})")

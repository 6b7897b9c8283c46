"""`manage.py doctor`: runs every check and prints the findings, the worst first."""

import json
import sys
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.admin.doctor.checks import examine
from apps.admin.doctor.findings import Finding, Level

_ORDER = [Level.WRONG, Level.WARNING, Level.SKIPPED, Level.OK]
_STYLES = {Level.OK: "SUCCESS", Level.WARNING: "WARNING", Level.WRONG: "ERROR", Level.SKIPPED: "NOTICE"}


class Command(BaseCommand):
    help = "Check every setting and connection, and report what is wrong and how to fix it. Nothing is sent."
    # Django's system checks would stop the command before ours could report the same problem with a remedy.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object on standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        found = [(check.name, finding) for check, findings in examine() for finding in findings]
        # Findings that need action come first, in whatever order the checks ran.
        found.sort(key=lambda one: _ORDER.index(one[1].level))
        levels = Counter(finding.level for _, finding in found)
        if options["json"]:
            report = [
                {
                    "check": name,
                    "level": finding.level.value,
                    "sentence": finding.sentence,
                    "remedy": finding.remedy,
                }
                for name, finding in found
            ]
            self.stdout.write(json.dumps({"ok": not levels[Level.WRONG], "findings": report}))
        else:
            self.stdout.write(_summary(levels))
            for name, finding in found:
                self._print_finding(name, finding)
        if levels[Level.WRONG]:
            sys.exit(1)

    def _print_finding(self, name: str, finding: Finding) -> None:
        style = getattr(self.style, _STYLES[finding.level])
        text = f"{finding.sentence} {finding.remedy}".rstrip()
        self.stdout.write(f"{style(f'{finding.level.value:8}')}{name:11}{text}")


def _summary(levels: Counter[Level]) -> str:
    if not levels[Level.WRONG]:
        return f"All is well; {levels[Level.WARNING]} warnings." if levels[Level.WARNING] else "All is well."
    return f"{levels[Level.WRONG]} wrong, {levels[Level.WARNING]} warnings, {levels[Level.SKIPPED]} skipped."

"""Reconciles all deliveries and callbacks, and names inconsistent rows. Exit code 1: there are some."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.notifications.operations.reconciliation import audit


class Command(BaseCommand):
    help = "Prove that accepted = final + waiting + in flight + unknown, and name every inconsistent row."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object on standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        report = audit()
        if options["json"]:
            findings = [
                {"channel": one.channel, "fault": one.error, "count": one.count, "ids": one.ids}
                for one in report.findings
            ]
            shown = {"balanced": report.balanced, "totals": report.totals, "findings": findings}
            self.stdout.write(json.dumps(shown))
        else:
            for channel, row in report.totals.items():
                self.stdout.write(
                    f"{channel}: {row['accepted']} accepted = {row['final']} final + {row['waiting']} waiting"
                    f" + {row['in_flight']} in flight + {row['unknown']} unknown"
                )
            for finding in report.findings:
                self.stdout.write(
                    f"{finding.count} {finding.channel} {finding.error}: {', '.join(finding.ids)}"
                )
            self.stdout.write("No row is inconsistent." if report.balanced else "Some rows are inconsistent.")
        if not report.balanced:
            sys.exit(1)

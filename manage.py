#!/usr/bin/env python
import os
import signal
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notifier.settings")
    try:
        try:
            execute_from_command_line(sys.argv)
        finally:
            # Here and not at the interpreter's end, where nobody could say anything of it.
            sys.stdout.flush()
    except ImproperlyConfigured as fault:
        sys.exit(f"Notifier can't start: {fault}")
    except BrokenPipeError:
        # Whoever read it (`| head`) has seen enough: end as other programs do then, without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


if __name__ == "__main__":
    main()

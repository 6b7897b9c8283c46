"""`python -m benchmarks [NAME …]`: all benchmarks, or those named. QUICK=1: short, without most peers."""

import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial

from benchmarks import accepting, bulk, front, latency, libraries, pushes, single
from benchmarks.stage import ROOT, Stage
from benchmarks.table import Row, shown, write
from benchmarks.world import set_up, tear_down

Measure = Callable[[Stage, str], list[Row]]


def measures() -> dict[str, Measure]:
    from benchmarks import growth

    rows = int(os.environ.get("ROWS") or ("20000" if os.environ.get("QUICK") else "5000000"))
    return {
        "bulk": bulk.measure,
        "single": single.measure,
        "slow": single.measure_slow,
        "batch-accept": accepting.measure_batch,
        "accept": accepting.measure_single,
        "front": front.measure,
        "push": pushes.measure,
        "latency": latency.measure,
        "libraries": libraries.measure,
        "memory": growth.measure_memory,
        "growth": partial(growth.measure, rows=rows),
    }


def main(names: list[str]) -> int:
    stage = Stage(quick=bool(os.environ.get("QUICK")))
    rows: list[Row] = []
    errors: list[str] = []
    stage.open(os.environ["DATABASE_URL"])
    try:
        key = set_up(stage)
        stage.start(sys.executable, "manage.py", "tick")
        known = measures()
        if unknown := sorted(set(names) - known.keys()):
            sys.stderr.write(f"There is no benchmark {unknown[0]!r}: {', '.join(known)}.\n")
            return 2
        for name in names or known:
            began = time.monotonic()
            try:
                rows += known[name](stage, key)
            except Exception as error:  # noqa: BLE001 - a failed benchmark does not prevent the others
                traceback.print_exc()
                errors.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
            sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    finally:
        tear_down(stage)
        stage.close()
    text = f"{_machine()}\n\n{shown(rows, errors)}"
    write(ROOT / "var/bench/last.md", text)
    sys.stdout.write(text)
    return 1 if errors else 0


def _machine() -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,  # noqa: S607
    ).stdout.strip()
    return (
        f"{time.strftime('%Y-%m-%d')}, commit {commit}, {os.cpu_count()} cores, Python {platform.python_version()},"
        " all servers on this machine. Medians; a ratio is of one run."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

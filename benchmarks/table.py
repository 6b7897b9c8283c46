"""The table of results: medians, spread, ratios and whether a target was met."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median


@dataclass
class Row:
    """One figure of the product beside a peer's, with several measurements each. `target`: the wanted ratio, at least
    or, where `at_most`, at most."""

    work: str
    ours: list[float]
    peer: str
    theirs: list[float]
    target: float
    unit: str = "/s"
    at_most: bool = False
    cost: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return median(self.ours) / median(self.theirs)

    @property
    def met(self) -> bool:
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target


HEAD = "| work | ours (spread) | peer | theirs (spread) | ratio | target | | cost |\n" + "|---" * 8 + "|"


def shown(rows: list[Row], errors: list[str]) -> str:
    lines = [HEAD]
    for row in rows:
        sign = "≤" if row.at_most else "≥"
        lines.append(
            f"| {row.work} | {_figure(row.ours, row.unit)} | {row.peer} | {_figure(row.theirs, row.unit)} |"
            f" {row.ratio:.2f} | {sign} {row.target:g} | {'met' if row.met else 'missed'} | {row.cost} |"
        )
    lines += [f"\n{note}" for row in rows for note in row.notes]
    lines += [f"\nNot measured: {error}" for error in errors]
    return "\n".join(lines) + "\n"


def _figure(values: list[float], unit: str) -> str:
    spread = f" ({_number(min(values))}–{_number(max(values))})" if len(values) > 1 else ""
    return f"{_number(median(values))} {unit}{spread}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

"""What a run measured: figures with their bounds and goals, as JSON, as a table and as a chart."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

FOLDER = Path(__file__).parent
BEGIN, END = "<!-- figures: written by make bench -->\n", "<!-- end of figures -->\n"


@dataclass(frozen=True)
class Goal:
    """What a figure should reach; each part that is not None counts. Times are milliseconds."""

    ratio_at_least: float | None = None
    ratio_at_most: float | None = None
    value_at_least: float | None = None
    value_at_most: float | None = None
    p50_at_most: float | None = None
    p99_at_most: float | None = None

    def __str__(self) -> str:
        named = (
            (self.ratio_at_least, "ratio ≥ {:g}"),
            (self.ratio_at_most, "ratio ≤ {:g}"),
            (self.value_at_least, "≥ {:g}"),
            (self.value_at_most, "≤ {:g}"),
            (self.p50_at_most, "p50 ≤ {:g} ms"),
            (self.p99_at_most, "p99 ≤ {:g} ms"),
        )
        return ", ".join(text.format(bound) for bound, text in named if bound is not None)

    def reached(self, figure: Figure) -> float:
        """The share of the goal that was reached, of the part that fell shortest: 1 and more is met."""
        parts = (
            _least(figure.ratio, self.ratio_at_least),
            _most(figure.ratio, self.ratio_at_most),
            _least(figure.value, self.value_at_least),
            _most(figure.value, self.value_at_most),
            _most(figure.p50_ms, self.p50_at_most),
            _most(figure.p99_ms, self.p99_at_most),
        )
        return min(part for part in parts if part is not None)


@dataclass(frozen=True)
class Figure:
    """One line of the table. `value` and `bound` are medians over the rounds, `ratio` the median of the rounds' own."""

    name: str
    unit: str
    value: float | None = None
    bound: float | None = None
    ratio: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    goal: Goal | None = None
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest round, of `value`, `bound`, `ratio`."""

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None where there is none."""
        return None if self.goal is None else self.goal.reached(self) >= 1


def compared(
    name: str,
    unit: str,
    values: Sequence[float],
    bounds: Sequence[float] = (),
    *,
    goal: Goal | None = None,
    p50_ms: float | None = None,
    p99_ms: float | None = None,
) -> Figure:
    """A figure of interleaved rounds: `bounds[n]` was measured beside `values[n]`."""
    ratios = [value / bound for value, bound in zip(values, bounds, strict=True)] if bounds else []
    kinds = {"value": values, "bound": bounds, "ratio": ratios}
    return Figure(
        name, unit,
        value=statistics.median(values), bound=statistics.median(bounds) if bounds else None,
        ratio=statistics.median(ratios) if ratios else None, p50_ms=p50_ms, p99_ms=p99_ms, goal=goal,
        ranges={kind: (min(of), max(of)) for kind, of in kinds.items() if len(of) > 1},
    )  # fmt: skip


def timed(name: str, times: Sequence[float], goal: Goal | None = None) -> Figure:
    """A figure of single times, in milliseconds."""
    return Figure(name, "ms", p50_ms=quantile(times, 50), p99_ms=quantile(times, 99), goal=goal)


def quantile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(len(ordered) * percent / 100))]


def auc(shorter: Sequence[float], longer: Sequence[float]) -> float:
    """The chance that one of `longer` is above one of `shorter` (Mann-Whitney)."""
    ordered = sorted(shorter)
    above = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in longer) / 2
    return above / (len(shorter) * len(longer))


def commit() -> str:
    """The commit that is measured, with a plus where the tree holds more than it."""
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", ".", ":!bench"], capture_output=True, text=True, check=True
    )
    return head.stdout.strip() + ("+" if changed.stdout else "")


def machine() -> str:
    """What it was measured on; no name of a host."""
    return f"{os.cpu_count()} cores, {total_memory()} GiB, {platform.system()}, Python {platform.python_version()}"


def total_memory() -> int:
    """The machine's memory in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30


def save(figures: Sequence[Figure], folder: Path = FOLDER) -> str:
    """Writes results.json, the table in README.md between its marks, and figures.svg; returns the table."""
    measured = {"commit": commit(), "machine": machine()}
    rows = []
    for figure in figures:
        row = asdict(figure) | measured | {"goal": str(figure.goal) if figure.goal else None, "met": figure.met}
        rows.append(row)
    (folder / "results.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    text = f"Commit {measured['commit']}; {measured['machine']}.\n\n" + table(figures)
    readme = (folder / "README.md").read_text()
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    (folder / "README.md").write_text(f"{before}{BEGIN}\n{text}\n![goals](figures.svg)\n\n{END}{after}")
    draw([figure for figure in figures if figure.goal], folder / "figures.svg")
    return text


def table(figures: Sequence[Figure]) -> str:
    """The figures as Markdown: medians, with the rounds' range below them."""
    lines = ["| | | bound | ratio | p50 | p99 | goal | |", "|---|---|---|---|---|---|---|---|"]
    for each in figures:
        cells = [
            each.name,
            _with_range(each, "value", f" {each.unit}") if each.value is not None else "",
            _with_range(each, "bound", "") if each.bound is not None else "",
            _with_range(each, "ratio", "") if each.ratio is not None else "",
            f"{each.p50_ms:.1f} ms" if each.p50_ms is not None else "",
            f"{each.p99_ms:.1f} ms" if each.p99_ms is not None else "",
            str(each.goal) if each.goal else "",
            "" if each.goal is None else "met" if each.met else f"{each.goal.reached(each):.0%} of it",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(figures: Sequence[Figure], path: Path) -> None:
    """A bar per goal: how much of it was reached, on a scale of tenfold steps."""
    # No date and no random names within, so that a chart changes when its figures do.
    with mpl.rc_context({"svg.hashsalt": "amanat", "svg.fonttype": "none", "font.size": 8}):
        drawing = Drawing(figsize=(8, 0.8 + 0.28 * len(figures)), layout="constrained")
        axes = drawing.add_subplot()
        shares = [figure.goal.reached(figure) for figure in figures if figure.goal]
        colours = ["#2a7f62" if share >= 1 else "#c1666b" for share in shares]
        axes.barh([figure.name for figure in figures], shares, color=colours)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.invert_yaxis()
        axes.set_xlabel("share of the goal that was reached (1: met)")
        drawing.savefig(path, format="svg", metadata={"Date": None})


def _with_range(figure: Figure, kind: str, unit: str) -> str:
    text = _number(getattr(figure, kind)) + unit
    low, high = figure.ranges.get(kind, (0.0, 0.0))
    return f"{text} ({_number(low)}–{_number(high)})" if high else text


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _least(value: float | None, bound: float | None) -> float | None:
    return None if bound is None else 0.0 if value is None else value / bound


def _most(value: float | None, bound: float | None) -> float | None:
    return None if bound is None else 0.0 if value is None else bound / max(value, 1e-9)

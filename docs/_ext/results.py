"""Tables from the files of results ``docs/results/NAME.json``.

``.. results:: NAME`` puts the table of one file on a page, or a note if the file is missing. Rows
that differ only in seed and time are one line with mean, standard deviation and number of seeds.
Columns with the same value in all lines are written below the table. A picture
``docs/images/NAME.png`` is placed above the table.

Options select rows: ``:metric: accuracy``, or several values with ``;`` between them.
``:features: across`` gives each feature a column, with the paper's value next to it.
``:measured: above`` refers to the previous table for command and machine. ``:result:`NAME:
metric=accuracy; method=PCA``` inserts one number into a sentence. At the start of a build, a page
for each file is written to ``docs/paper/generated``.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

RESULTS = Path(__file__).parents[1] / "results"
GENERATED = Path(__file__).parents[1] / "paper" / "generated"

# Keys in which the rows of one line of the table may differ.
_REPEATED = ("value", "seed", "seconds")
_TITLES = {"value": "Measured", "paper": "Paper", "seed": "Seeds", "seconds": "Seconds"}
# Order of the columns; other keys follow.
_FIRST = ("dataset", "method", "feature", "metric", "value", "paper")
# Columns whose cells may have line breaks.
_WORDS = ("Dataset", "Method", "Feature", "Metric")
# Longer tables scroll within the page.
_LONG = 40


def load(path: Path) -> dict[str, Any]:
    """Read one file of results; raise ValueError if a key is missing."""
    results = json.loads(path.read_text(encoding="utf-8"))
    missing = {"command", "versions", "machine", "rows"} - results.keys()
    if missing:
        raise ValueError(f"{path.name}: missing {', '.join(sorted(missing))}")
    return dict(results)


def table(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Join rows that differ only in seed and time, format all cells, and drop empty columns."""
    keys = list(dict.fromkeys(key for row in rows for key in row if key not in _REPEATED))
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(json.dumps(row.get(key)) for key in keys), []).append(row)
    lines = []
    for members in groups.values():
        cells = {key: _format(members[0].get(key)) for key in keys if key != "paper"}
        values = [m["value"] for m in members if m.get("value") is not None]
        cells["value"] = _mean(values, spread=True)
        cells["paper"] = _format(members[0].get("paper"))
        seeds = {m["seed"] for m in members if m.get("seed") is not None}
        cells["seed"] = str(len(seeds)) if seeds else ""
        cells["seconds"] = _mean([m["seconds"] for m in members if m.get("seconds") is not None])
        lines.append(cells)
    used = [key for key in (lines[0] if lines else {}) if any(line[key] for line in lines)]
    used.sort(key=lambda key: _FIRST.index(key) if key in _FIRST else len(_FIRST))
    return [{_TITLES.get(key, key.capitalize()): line[key] for key in used} for line in lines]


def common(lines: list[dict[str, str]]) -> dict[str, str]:
    """Return the columns with the same cell in every line."""
    if len(lines) < 2:
        return {}
    return {
        title: cell
        for title, cell in lines[0].items()
        if title not in ("Measured", "Paper") and all(line[title] == cell for line in lines)
    }


def across(lines: list[dict[str, str]]) -> list[dict[str, str]]:
    """Join lines that differ only in feature and metric into one, as in the paper's tables.

    Columns of the first line's metric are named by the feature, those of other metrics by the
    metric. A dash means that a line lacks the measurement.
    """
    joined = ("Feature", "Metric", "Measured", "Paper")
    wide: dict[tuple[Any, ...], dict[str, str]] = {}
    columns: dict[str, bool] = {}  # name, and whether any cell is filled
    for line in lines:
        shared = tuple((title, cell) for title, cell in line.items() if title not in joined)
        usual = line["Metric"] == lines[0]["Metric"]
        name = line["Feature"] if usual else line["Metric"]
        cells = {name: line["Measured"], f"{name}, paper": line.get("Paper", "")}
        row = wide.setdefault(shared, {})
        if name in row:
            raise ValueError(f"two cells of {dict(shared)} are named {name!r}: choose one metric")
        row.update(cells)
        for title, cell in cells.items():
            columns[title] = columns.get(title, False) or bool(cell)
    gathered = []
    for shared, cells in wide.items():
        line = dict(shared)
        words = {title: line.pop(title) for title in _WORDS if title in line}
        gathered.append(
            words | {t: cells.get(t, "–") for t, some in columns.items() if some} | line
        )
    return gathered


def _format(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_format(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_format(item) for item in value)
    return str(value)


def _mean(values: list[float], *, spread: bool = False) -> str:
    """Format a mean with two digits of its standard deviation, or else with four digits."""
    if not values:
        return ""
    mean = statistics.fmean(values)
    deviation = statistics.stdev(values) if spread and len(values) > 1 else 0.0
    if not (math.isfinite(mean) and math.isfinite(deviation)):
        return str(mean)
    if deviation == 0.0:
        return f"{mean:.4g}"
    decimals = max(0, 1 - math.floor(math.log10(deviation)))
    if decimals > 6 or abs(mean) >= 1e6:
        return f"{mean:.3g} ± {deviation:.1g}"
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def chosen(rows: list[dict[str, Any]], wanted: dict[str, str]) -> list[dict[str, Any]]:
    """Return the rows with one of the wanted values, separated by ``;``, for each key."""
    allowed = {key: [part.strip() for part in text.split(";")] for key, text in wanted.items()}
    return [row for row in rows if all(str(row.get(key)) in some for key, some in allowed.items())]


def number(text: str) -> str:
    """Return the mean of the rows selected by ``NAME: key=value; key=value``, formatted."""
    name, _, conditions = " ".join(text.split()).partition(":")
    path = RESULTS / f"{name.strip()}.json"
    pairs = dict(condition.split("=", 1) for condition in conditions.split(";"))
    wanted = {key.strip(): value.strip() for key, value in pairs.items()}
    lines = table(chosen(load(path)["rows"], wanted))
    if len(lines) != 1:
        raise ValueError(f"{path.name}: {len(lines)} lines with {wanted}, expected one")
    return lines[0]["Measured"]


def result_role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, *_: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Return a node with one measured number."""
    try:
        return [nodes.inline(rawtext, number(text))], []
    except (OSError, ValueError) as error:
        message = inliner.reporter.error(f":result:`{text}`: {error}", line=lineno)
        return [inliner.problematic(rawtext, rawtext, message)], [message]


class ResultsDirective(SphinxDirective):
    """Directive ``.. results:: NAME``: the table of ``docs/results/NAME.json``."""

    required_arguments = 1
    option_spec = {
        "metric": directives.unchanged,
        "dataset": directives.unchanged,
        "feature": directives.unchanged,
        "method": directives.unchanged,
        "features": lambda argument: directives.choice(argument, ("across",)),
        "measured": lambda argument: directives.choice(argument, ("above",)),
    }

    def run(self) -> list[nodes.Node]:
        path = RESULTS / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(path))
        self.env.note_dependency(__file__)
        if not path.exists():
            text = f"This version of the documentation has no measurements of {path.stem!r}."
            return [nodes.note("", nodes.paragraph(text=text))]
        results = load(path)
        form = ("features", "measured")
        wanted = {key: value for key, value in self.options.items() if key not in form}
        rows = chosen(results["rows"], wanted)
        if not rows:
            raise self.error(f"{path.name} has no row with {wanted}")
        lines = table(rows)
        usual = {}
        if "features" in self.options:
            first = lines[0]
            usual = {"Metric": first["Metric"]} if first["Metric"] != first["Feature"] else {}
            lines = across(lines)
        said_once = common(lines)
        lines = [{k: v for k, v in line.items() if k not in said_once} for line in lines]
        said_once |= usual
        below = _provenance(results, said_once, len(lines), repeated="measured" in self.options)
        kind = "across" if "features" in self.options else "down"
        return [*self._picture(path.stem), _table_node(lines, kind), below]

    def _picture(self, name: str) -> list[nodes.Node]:
        if self.options or not (RESULTS.parent / "images" / f"{name}.png").exists():
            return []
        text = f".. image:: /images/{name}.png\n   :alt: Picture of the results of {name}\n"
        return self.parse_text_to_nodes(text)


def _table_node(lines: list[dict[str, str]], kind: str) -> nodes.Node:
    titles = list(lines[0])
    group = nodes.tgroup(cols=len(titles))
    group += [nodes.colspec(colwidth=1) for _ in titles]
    head, body = nodes.thead(), nodes.tbody()
    head += _row(titles, ["paper" if title.endswith(", paper") else title for title in titles])
    body += [_row(titles, line.values()) for line in lines]
    group += [head, body]
    made = nodes.table("", group, classes=["results", kind])
    classes = ["pst-scrollable-table-container", *(["long-table"] if len(lines) > _LONG else [])]
    return nodes.container("", made, classes=classes)


def _row(titles: list[str], cells: Any) -> nodes.row:
    row = nodes.row()
    for title, cell in zip(titles, cells, strict=True):
        kind = "words" if title in _WORDS else "number"
        row += nodes.entry("", nodes.paragraph(text=cell), classes=[kind])
    return row


def _provenance(
    results: dict[str, Any], said_once: dict[str, str], length: int, *, repeated: bool
) -> nodes.Node:
    paragraph = nodes.paragraph(classes=["provenance"])
    if length > _LONG:
        paragraph += nodes.Text(f"The table has {length} lines and scrolls. ")
    if said_once:
        everywhere = ", ".join(f"{title.lower()} {cell}" for title, cell in said_once.items())
        paragraph += nodes.Text(f"Common to all lines: {everywhere}. ")
    if repeated:
        paragraph += nodes.Text("Measured as above.")
        return paragraph
    paragraph += nodes.Text("Measured by ")
    paragraph += nodes.literal(text=_format(results["command"]))
    details = "; ".join(_format(results[key]) for key in ("versions", "machine") if results[key])
    paragraph += nodes.Text(f" ({details}). Values of several seeds are mean ± standard deviation.")
    return paragraph


def write_pages(app: Sphinx, config: Config) -> None:
    """Write one page for each file of results, and an index."""
    GENERATED.mkdir(parents=True, exist_ok=True)
    names = sorted(path.stem for path in RESULTS.glob("*.json"))
    pages = {name: _page(name) for name in names}
    listed = "\n".join(f"   {name}" for name in names)
    body = f".. toctree::\n   :maxdepth: 1\n\n{listed}\n" if names else "No measurements.\n"
    pages["index"] = f"{_title('All measurements')}\n{body}"
    for stale in set(GENERATED.glob("*.rst")) - {GENERATED / f"{name}.rst" for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        target = GENERATED / f"{name}.rst"
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def _page(name: str) -> str:
    title = load(RESULTS / f"{name}.json").get("title", _readable(name))
    return f"{_title(title)}\n.. results:: {name}\n"


def _readable(name: str) -> str:
    """Return a title for the name of a file: "Figure 1" for "figure1"."""
    return re.sub(r"(?<=[a-z])(?=\d)", " ", name.replace("_", " ")).capitalize()


def _title(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and write the pages."""
    app.add_directive("results", ResultsDirective)
    app.add_role("result", result_role)
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The documentation: code that runs, and commands that agree with the Makefile."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpydoc.validate
import pytest
import torch
from numpydoc.docscrape import ClassDoc, FunctionDoc
from sklearn.base import BaseEstimator

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted(
        page
        for page in (ROOT / "docs").rglob("*.rst")
        # Generated pages: their sources are docstrings and examples, which other tests run.
        if not {"api", "gallery", "generated", "_templates", "_build"} & set(page.parts)
    ),
]
RST_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n(?:   :.*\n)*\n((?:(?: {3}.*)?\n)+)", re.M)
MARKDOWN_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
# First words of summary lines that are no noun phrase and no imperative. "Whether" is allowed for
# booleans.
REFUSED_FIRST_WORDS = {"How", "Of", "What", "When", "Where", "Which", "Who", "Why"}


def load_extension(name: str) -> ModuleType:
    """Import one of the Sphinx extensions in docs/_ext."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_ext" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


api = load_extension("api")
gallery = load_extension("gallery")
results = load_extension("results")


def code_blocks(page: Path, language: str) -> Iterator[tuple[int, str]]:
    """Yield line number and source of each code block in one language on a page."""
    text = page.read_text(encoding="utf-8") + "\n"
    pattern = MARKDOWN_BLOCK if page.suffix == ".md" else RST_BLOCK
    for match in pattern.finditer(text):
        if match.group(1) == language:
            yield text.count("\n", 0, match.start(2)), inspect.cleandoc("\n" + match.group(2))


def with_python(pages: list[Path]) -> list[Path]:
    return [page for page in pages if any(code_blocks(page, "python"))]


@pytest.mark.parametrize("page", with_python(PAGES), ids=lambda page: page.stem)
def test_code_on_the_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(page)


def run(page: Path) -> None:
    namespace: dict[str, object] = {"__name__": page.stem}
    # `torch.nn.Linear(...)` on a page draws from torch's global generator.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for line, source in code_blocks(page, "python"):
            # Empty lines before the source make tracebacks show the line of the page.
            exec(compile("\n" * line + source, str(page), "exec"), namespace)


def test_the_first_lines_of_readme_and_home_page_are_the_same_and_print_a_high_accuracy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = ROOT / "docs" / "index.rst"
    (readme,), (lines,) = (
        [source for _, source in code_blocks(page, "python")] for page in (ROOT / "README.md", home)
    )
    assert readme == lines
    run(home)
    assert float(capsys.readouterr().out) > 0.9


@pytest.mark.parametrize("page", with_python(PAGES), ids=lambda page: page.stem)
def test_code_that_trains_asserts_a_result(page: Path) -> None:
    for line, source in code_blocks(page, "python"):
        trains = re.search(r"\.fit(_transform|_batches)?\(|\.backward\(", source)
        assert not trains or "assert " in source or "print(" in source, f"{page.name}:{line}"


@pytest.mark.parametrize("target", ["demo", "test"])
def test_readme_and_makefile_have_the_same_commands(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(rf"^{target}:\n((?:\t.*\n)+)", makefile, re.M)
    assert recipe, f"no recipe {target!r} in the Makefile"
    commands = recipe.group(1).replace("$(PYTHON)", "python3").replace("$(BIN)", ".venv/bin")
    expected = [line.strip() for line in commands.splitlines()]
    blocks = [source.splitlines() for _, source in code_blocks(ROOT / "README.md", "bash")]
    assert expected in blocks


def public_objects() -> Iterator[str]:
    """Yield the dotted names of classes and functions in the API reference."""
    for package in api.PACKAGES:
        for name in api.public_names(package):
            yield f"{package}.{name}"


def resolve(dotted: str) -> object:
    package, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(package), name)


def public_docstrings() -> Iterator[str]:
    """Yield the public objects, and the methods of estimators that this package defines."""
    for dotted in public_objects():
        yield dotted
        value = resolve(dotted)
        # Descriptions of objectives are no estimators: users call none of their methods.
        if not (
            inspect.isclass(value) and issubclass(value, BaseEstimator) and hasattr(value, "fit")
        ):
            continue
        for name in dir(value):
            origin = getattr(inspect.getattr_static(value, name), "__module__", "") or ""
            if not name.startswith("_") and origin.startswith("sk_mige"):
                yield f"{dotted}.{name}"


def is_record(value: object) -> bool:
    """Return whether a class is a dataclass, a named tuple or a protocol."""
    marks = ("__dataclass_fields__", "_fields", "_is_protocol")
    return inspect.isclass(value) and any(getattr(value, mark, False) for mark in marks)


@pytest.mark.parametrize("dotted", list(public_objects()))
def test_public_object_has_an_example(dotted: str) -> None:
    assert ">>>" in (inspect.getdoc(resolve(dotted)) or "")


@pytest.mark.parametrize("dotted", list(public_objects()))
def test_defaults_in_the_docstring_are_those_of_the_signature(dotted: str) -> None:
    target = resolve(dotted)
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # a type alias, a number
        return
    described = (ClassDoc if inspect.isclass(target) else FunctionDoc)(target)["Parameters"]
    for names, kind, _ in described:
        if "default=" in kind:
            stated = ast.literal_eval(kind.partition("default=")[2])
            for parameter in names.split(", "):
                assert signature.parameters[parameter].default == stated, parameter


@pytest.mark.parametrize("dotted", list(public_docstrings()))
def test_docstring_passes_numpydoc(dotted: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    waived = set(settings["tool"]["numpydoc_validation"]["checks"])
    if dotted in public_objects() and is_record(resolve(dotted)):
        waived.add("PR01")  # fields are documented as attributes
    errors = numpydoc.validate.validate(dotted)["errors"]
    assert [message for message in errors if message[0] not in waived] == []


def first_word(value: object) -> str:
    return (inspect.getdoc(value) or " ").split()[0].strip(",:.")


@pytest.mark.parametrize("dotted", list(public_docstrings()))
def test_summary_line_is_a_noun_phrase_or_an_imperative(dotted: str) -> None:
    package = max((p for p in api.PACKAGES if dotted.startswith(f"{p}.")), key=len)
    value: object = importlib.import_module(package)
    for name in dotted.removeprefix(f"{package}.").split("."):
        value = inspect.getattr_static(value, name)
    function = value.fget if isinstance(value, property) else value
    word = first_word(value)
    assert word not in REFUSED_FIRST_WORDS
    if word == "Whether":
        assert getattr(function, "__annotations__", {}).get("return") in (bool, "bool")


@pytest.mark.parametrize("package", list(api.PACKAGES))
def test_summary_line_of_a_package_is_a_noun_phrase_or_an_imperative(package: str) -> None:
    assert first_word(importlib.import_module(package)) not in {*REFUSED_FIRST_WORDS, "Whether"}


def test_every_example_is_in_the_gallery() -> None:
    run = {path.name for path in (ROOT / "examples").glob("plot_*.py")}
    assert run <= set(gallery.ORDER)
    for name in set(gallery.ORDER) - run:  # examples that the build does not run
        path = ROOT / "examples" / name
        assert f".. results:: {path.stem}\n" in path.read_text(encoding="utf-8")
        assert (ROOT / "docs" / "results" / f"{path.stem}.json").exists()
        assert (ROOT / "docs" / "images" / f"{path.stem}.png").exists()


ROW = {
    "dataset": "digits",
    "method": "MIGE",
    "feature": "z",
    "metric": "accuracy",
    "epochs": 3,
    "seconds": 1.5,
    "paper": 90.5,
}


def test_rows_that_differ_only_in_seed_are_one_line_of_the_table() -> None:
    rows = [{**ROW, "seed": seed, "value": value} for seed, value in enumerate([90.0, 91.0, 92.0])]
    (line,) = results.table(rows)
    assert line["Measured"] == "91.0 ± 1.0"
    assert line["Seeds"] == "3"
    assert line["Paper"] == "90.5"


def test_empty_columns_are_omitted() -> None:
    (line,) = results.table([{**ROW, "seed": 0, "value": 90.0, "paper": None}])
    assert "Paper" not in line
    assert line["Measured"] == "90"


def test_cells_that_are_equal_in_all_lines_are_moved_below_the_table() -> None:
    rows = [{**ROW, "method": method, "seed": 0, "value": 90.0} for method in ("MIGE", "PCA")]
    common = results.common(results.table(rows))
    assert common["Dataset"] == "digits"
    assert "Method" not in common
    assert "Measured" not in common


def test_features_across_make_one_line_for_each_method() -> None:
    rows = [
        {**ROW, "feature": feature, "seed": 0, "value": value, "paper": paper}
        for feature, value, paper in (("conv", 50.0, None), ("Y", 40.0, 41.0))
    ]
    rows.append({**ROW, "metric": "effective rank", "seed": 0, "value": 9.0, "paper": None})
    (line,) = results.across(results.table(rows))
    assert list(line)[:6] == ["Dataset", "Method", "conv", "Y", "Y, paper", "effective rank"]
    assert (line["conv"], line["Y"], line["Y, paper"], line["effective rank"]) == (
        "50", "40", "41", "9",
    )  # fmt: skip


def test_an_option_with_several_values_selects_the_rows_of_each() -> None:
    rows = [{"metric": metric} for metric in ("a", "b", "c")]
    assert results.chosen(rows, {"metric": "a; c"}) == [rows[0], rows[2]]


def test_the_measured_value_is_left_of_the_duration() -> None:
    (line,) = results.table([{**ROW, "seed": 0, "value": 90.0}])
    assert list(line)[:6] == ["Dataset", "Method", "Feature", "Metric", "Measured", "Paper"]


def test_a_number_in_the_text_is_one_line_of_a_file() -> None:
    asked = "import_time: method=sk_mige; metric=beside torch\nand scikit-learn"
    assert float(results.number(asked)) < 1.3
    with pytest.raises(ValueError, match="2 lines"):
        results.number("import_time: method=sk_mige")


def test_measurements_without_their_command_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nameless.json"
    path.write_text(json.dumps({"rows": [ROW], "versions": {}, "machine": ""}))
    with pytest.raises(ValueError, match="command"):
        results.load(path)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "results").glob("*.json")), ids=lambda path: path.stem
)
def test_stored_measurements_make_a_table(path: Path) -> None:
    rows = results.load(path)["rows"]
    assert rows
    assert results.table(rows)
    for row in rows:
        assert {"dataset", "method", "metric", "value", "seed"} <= row.keys()

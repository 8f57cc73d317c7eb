"""Import times of the package and of torch plus scikit-learn, in new processes.

python benchmarks/import_time.py            # exits with 1 if the ratio exceeds 1.3
python benchmarks/import_time.py --write    # also docs/results/import_time.json
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from report import row, write

LIMIT = 1.3
CODE = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"


def seconds(modules: str) -> float:
    """Return the processor time of an import, which does not depend on other processes."""
    command = [sys.executable, "-c", CODE.format(modules)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    names = {"torch and scikit-learn": "torch, sklearn", "sk_mige": "sk_mige"}
    spans: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(arguments.repeats):  # alternate, so that other processes affect both
        for name, modules in names.items():
            spans[name].append(seconds(modules))
    # Other processes only add time, so the minimum is closest to the time of the import.
    found = {name: min(values) for name, values in spans.items()}
    ratio = found["sk_mige"] / found["torch and scikit-learn"]
    for name, value in found.items():
        print(f"{name:>24}: {value:.2f} s")
    print(f"{'ratio':>24}: {ratio:.2f} (at most {LIMIT})")
    if arguments.write:
        rows = [row("", name, "import, seconds", round(v, 3)) for name, v in found.items()]
        rows.append(row("", "sk_mige", "beside torch and scikit-learn", round(ratio, 3)))
        write("import_time", "Import time", "python benchmarks/import_time.py --write", rows)
    sys.exit(ratio > LIMIT)


if __name__ == "__main__":
    main()

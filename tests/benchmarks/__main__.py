"""Run the benchmarks: `python -m tests.benchmarks [name ...]`; exit code 1 if a target is
missed."""

import argparse
import importlib
import logging
import sys
from pathlib import Path

import structlog

from tests.benchmarks.report import Result


def main() -> int:
    """Run what was asked for and print a line per ratio."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of: {', '.join(names)}")
    wanted = parser.parse_args().names or names
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    results: list[Result] = []
    for name in wanted:
        sys.stdout.write(f"--- {name}\n")
        module = importlib.import_module(f"tests.benchmarks.{name}")
        for result in module.main():
            sys.stdout.write(f"{result}\n")
            results.append(result)
        sys.stdout.flush()
    return 0 if all(result.is_met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())

"""`penstock doctor`: checks syntax, configuration, settings and every dependency, and says what to
do.

Each service checks what it needs itself (`python -m <service> --check`), in its own process and
with its own settings, so the answer is the one that the service would get.
"""

import compileall
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer
import yaml
from rich.console import Console
from rich.markup import escape

from chassis.doctor import Finding
from penstock.settings import service_environment

SERVICES = ("scanner", "ingestor", "transformer", "refresher", "wrds_sync", "console")
_PACKAGES = ("contracts", "chassis", *SERVICES, "penstock")
_DEADLINE_SECONDS = 90.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="doctor")(doctor)


def doctor(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services to check; all when none is named.")
    ] = None,
    *,
    config: Annotated[
        Path,
        typer.Option(
            help="Folder with the configuration files.", envvar="PENSTOCK_CONFIG_DIRECTORY"
        ),
    ] = Path("config"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check everything Penstock needs and say what to do about what is missing.

    Exit code 0 means all is well, 1 that something is not.

    Examples:
    - `penstock doctor` checks all services with the present environment

    - `eval "$(penstock env)" && penstock doctor` checks against the local stack

    - `penstock doctor scanner --json` checks one service, for scripts
    """
    findings = [*_check_syntax(), *_check_yaml(config)]
    for service in services or SERVICES:
        findings.extend(_check_service(service))
    if as_json:
        for finding in findings:
            typer.echo(orjson.dumps(asdict(finding)).decode())
    else:
        _print(findings)
    if not all(finding.is_ok for finding in findings):
        raise typer.Exit(1)


def _check_syntax() -> Iterator[Finding]:
    broken = [package for package in _PACKAGES if not _compiles(package)]
    if broken:
        text = f"not installed, or does not compile: {', '.join(broken)}"
        yield Finding("penstock", "syntax", False, text, "restore the files and run `make install`")
    else:
        yield Finding("penstock", "syntax", True, f"{len(_PACKAGES)} packages compile")


def _compiles(package: str) -> bool:
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return bool(folders) and all(
        compileall.compile_dir(folder, quiet=2, maxlevels=20) for folder in folders
    )


def _check_yaml(config: Path) -> Iterator[Finding]:
    files = sorted(config.rglob("*.yaml"))
    if not files:
        yield Finding(
            "penstock",
            "yaml",
            False,
            f"`{config}` has no YAML files",
            "name the folder with --config",
        )
    for file in files:
        try:
            yaml.safe_load(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            text = f"`{file}`: {error}"
            yield Finding("penstock", "yaml", False, text, "correct the file", "config_parse")
        else:
            yield Finding("penstock", "yaml", True, f"`{file}` is YAML")


def _check_service(service: str) -> list[Finding]:
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", service, "--check"],
            capture_output=True,
            timeout=_DEADLINE_SECONDS,
            check=False,
            env=service_environment(),
        )
    except subprocess.TimeoutExpired:
        text = f"no answer within {_DEADLINE_SECONDS:.0f} s"
        return [
            Finding(service, "check", False, text, f"run `python -m {service} --check` by hand")
        ]
    findings = [
        Finding(**orjson.loads(line)) for line in done.stdout.splitlines() if line.startswith(b"{")
    ]
    if not findings:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        text = said[-1] if said else f"exit code {done.returncode}"
        return [
            Finding(service, "check", False, text, f"run `python -m {service} --check` by hand")
        ]
    return findings


def _print(findings: Sequence[Finding]) -> None:
    """Write a line per finding, and what to do below each that is not well."""
    console = Console(highlight=False, soft_wrap=True)
    for item in findings:
        mark = "[green]✓[/green]" if item.is_ok else "[red]✗[/red]"
        name = escape(f"{item.service}: {item.check}")
        console.print(f"{mark} {name:<42} {escape(item.message)}")
        if not item.is_ok and item.next_step:
            console.print(f"    → {escape(item.next_step)}", style="yellow")
    bad = sum(not item.is_ok for item in findings)
    console.print(f"{len(findings) - bad} checks passed, {bad} failed" if bad else "All is well.")

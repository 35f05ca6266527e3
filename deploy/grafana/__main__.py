"""Write the dashboards: `python -m deploy.grafana`; `--check` fails where one is out of date."""

import argparse
import sys

from deploy.grafana.render import FOLDER, render_all


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail instead of writing")
    check = parser.parse_args().check
    outputs = render_all()
    stale = {
        path
        for path, text in outputs.items()
        if not path.exists() or path.read_text("utf-8") != text
    }
    stale |= set(FOLDER.glob("*.json")) - set(outputs)
    if check and stale:
        for path in sorted(stale):
            print(f"{path.name} is out of date; run `make docs`", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    for path in stale:
        if path in outputs:
            path.write_text(outputs[path], "utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

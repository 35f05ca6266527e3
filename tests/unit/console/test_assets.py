import hashlib
import re
from importlib.resources import files

from console.web.assets import load_assets

_LINE = re.compile(r"^([0-9a-f]{64})  (\S+) ", re.MULTILINE)


def test_the_files_of_others_are_those_that_were_looked_at() -> None:
    static = files("console.web").joinpath("static")
    recorded = {
        name: digest for digest, name in _LINE.findall(static.joinpath("VENDORED.txt").read_text())
    }
    found = {
        name: hashlib.sha256(static.joinpath(name).read_bytes()).hexdigest() for name in recorded
    }
    assert len(recorded) == 2
    assert found == recorded


def test_scripts_of_others_do_not_need_what_the_policy_forbids() -> None:
    for name, asset in load_assets().items():
        if name.endswith(".js"):
            text = asset.body.decode()
            assert "new Function(" not in text, name
            assert not re.search(r"\beval\(", text), name


def test_an_address_changes_with_its_contents() -> None:
    assets = load_assets()
    assert {"console.css", "console.js", "htmx.min.js", "hx-sse.min.js", "logo.svg"} <= set(assets)
    css = assets["console.css"]
    assert css.version == hashlib.sha256(css.body).hexdigest()[:12]

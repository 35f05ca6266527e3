"""What the scripted server answers, in a form that crosses to its process as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tests.support.tds.cells import Value


@dataclass(frozen=True, slots=True)
class Rows:
    """A result set."""

    columns: dict[str, str]
    """Name and type of each column, the type as `CREATE TABLE` spells it."""
    rows: tuple[tuple[Value, ...], ...] = ()
    pause_after: int | None = None
    """Stop sending after so many rows until the client hangs up: a source that stalls."""
    drop_after: int | None = None
    """Close the connection after so many rows."""
    fail: "Fail | None" = None
    """Report an error after the rows."""
    times: int = 1
    """Send the rows so many times over: a large table from a small script."""


@dataclass(frozen=True, slots=True)
class Done:
    """A statement that succeeded; `affected` rows."""

    affected: int = 0


@dataclass(frozen=True, slots=True)
class Fail:
    """An error message of the server."""

    number: int
    message: str
    severity: int = 16
    ends_transaction: bool = False
    """As a deadlock victim's transaction is ended by the server."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is closed without an answer."""


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer, until the client sends an attention or hangs up."""


@dataclass(frozen=True, slots=True)
class Load:
    """What follows `INSERT BULK`: rows are taken in, then `answer` is given."""

    answer: "Done | Fail | Drop | Hang | None" = None
    """None: as many rows as came."""
    drop_after_bytes: int | None = None
    """Close the connection once so many bytes of the rows have come."""
    is_drained: bool = False
    """Take the rows in without looking at them; for many."""


Answer = Rows | Done | Fail | Drop | Hang | Load
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Rows, Done, Fail, Drop, Hang, Load)
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Statements that match `pattern` get these answers, one each; the last one again and again."""

    pattern: str
    """A regular expression, searched in the statement with blanks folded, case ignored."""
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be loaded in bulk."""

    name: str
    """As the loader writes it: `[stg].[orders]`; `*` for any."""
    columns: dict[str, str]
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """The rules in the order in which they are tried; a statement without a rule is an error."""

    rules: tuple[Rule, ...] = ()
    users: dict[str, str] = field(default_factory=lambda: {"reader": "r", "writer": "w"})
    """Logins and their passwords."""
    tables: tuple[Table, ...] = ()
    certificate: str | None = None
    """A file with key and certificate: then everything is encrypted."""


def to_json(script: Script) -> dict[str, Any]:
    """Return the form that crosses to the server's process."""
    rules = [
        {"pattern": rule.pattern, "answers": [_pack(answer) for answer in rule.answers]}
        for rule in script.rules
    ]
    tables = [asdict(table) for table in script.tables]
    return {
        "rules": rules,
        "users": script.users,
        "tables": tables,
        "certificate": script.certificate,
    }


def from_json(data: dict[str, Any]) -> Script:
    """Build the script again in the server's process."""
    rules = tuple(
        Rule(rule["pattern"], tuple(_unpack(answer) for answer in rule["answers"]))
        for rule in data["rules"]
    )
    tables = tuple(Table(**table) for table in data["tables"])
    return Script(rules, data["users"], tables, data["certificate"])


def _pack(answer: Answer) -> dict[str, Any]:
    packed = {"kind": type(answer).__name__, **asdict(answer)}
    if isinstance(answer, Load) and answer.answer is not None:
        packed["answer"] = _pack(answer.answer)
    return packed


def _unpack(data: dict[str, Any]) -> Answer:
    kind = _KINDS[data.pop("kind")]
    if kind is Load and data["answer"] is not None:
        data["answer"] = _unpack(data["answer"])
    if kind is Rows and data["fail"] is not None:
        data["fail"] = Fail(**data["fail"])
    answer: Answer = kind(**data)
    return answer

"""The guards that keep a refresh away from production: the judgement, without the looking.

An adapter asks each database who it is; `verify` compares the answers with what was pinned. Only
its result, a `VerifiedTarget`, opens a writer, so no path through the code can hand a writer the
source.
"""

from collections.abc import Collection
from dataclasses import dataclass

from refresher.domain.catalog import Side

MARKER = "target"
"""The value of the marker that a database carries which may be written to."""

_SEAL = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a server says about itself and the login."""

    fingerprint: str
    """Built from facts that a copy of the database does not share."""

    database: str
    login: str
    version: str
    marker: str | None
    """The value of the marker `penstock.refresh_role`; None where there is none."""

    powers: tuple[str, ...] = ()
    """Every way in which the login could change something, in words; a source must have none."""


@dataclass(frozen=True, slots=True)
class VerifiedTarget:
    """The proof that a database may be written to; only `verify` makes one."""

    fingerprint: str
    """Writers compare it with every new connection's."""

    seal: object

    def __post_init__(self) -> None:
        """Refuse a proof that was not made by `verify`."""
        if self.seal is not _SEAL:
            raise TypeError("a VerifiedTarget is made by refresher.domain.guards.verify only")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason for not writing anything."""

    code: str
    """Constant; metrics and tests use it."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the configuration says the two databases are."""

    source: str | None
    target: str | None


def verify(
    source: Identity,
    target: Identity,
    *,
    pins: Pins,
    known_sources: Collection[str] = (),
) -> VerifiedTarget | tuple[Refusal, ...]:
    """Return the proof that `target` may be written to, or every reason why not.

    Args:
        source: Who the source says it is.
        target: Who the target says it is.
        pins: What the configuration expects.
        known_sources: Fingerprints of every database that was ever registered as a source.
    """
    refusals = [
        *_pinned(Side.SOURCE, source, pins.source),
        *_pinned(Side.TARGET, target, pins.target),
        *_apart(source, target, pins, known_sources),
        *_marked(source, target),
        *_powerless(source),
    ]
    return tuple(refusals) if refusals else VerifiedTarget(target.fingerprint, _SEAL)


def _pinned(side: Side, found: Identity, pin: str | None) -> list[Refusal]:
    where = f"databases.{side.value}.fingerprint"
    if pin is None:
        return [
            Refusal(
                f"{side.value}_not_pinned",
                f"`{where}` is not set; if {found.database!r} is the right database, set it to "
                f"`{found.fingerprint}`",
            )
        ]
    if pin != found.fingerprint:
        return [
            Refusal(
                f"{side.value}_fingerprint",
                f"the {side.value} is not the database that `{where}` pins: it says "
                f"`{found.fingerprint}`",
            )
        ]
    return []


def _apart(
    source: Identity, target: Identity, pins: Pins, known_sources: Collection[str]
) -> list[Refusal]:
    refusals = []
    if source.fingerprint == target.fingerprint:
        refusals.append(Refusal("same_database", "source and target are the same database"))
    if (pins.source, pins.target) == (target.fingerprint, source.fingerprint):
        refusals.append(
            Refusal("swapped", "source and target are swapped: each is what the other should be")
        )
    if target.fingerprint in known_sources:
        refusals.append(
            Refusal("target_is_a_source", "the target is registered as the source of a refresh")
        )
    return refusals


def _marked(source: Identity, target: Identity) -> list[Refusal]:
    refusals = []
    if target.marker != MARKER:
        refusals.append(
            Refusal(
                "target_not_marked",
                f"the target {target.database!r} does not carry the marker "
                f"`penstock.refresh_role = {MARKER}`; set it there once, by hand, as its owner",
            )
        )
    if source.marker is not None:
        refusals.append(
            Refusal(
                "source_marked",
                f"the source {source.database!r} carries the marker of a target: "
                "production never does",
            )
        )
    return refusals


def _powerless(source: Identity) -> list[Refusal]:
    if not source.powers:
        return []
    shown = "; ".join(source.powers[:5])
    more = f" and {len(source.powers) - 5} more" if len(source.powers) > 5 else ""  # noqa: PLR2004
    return [
        Refusal(
            "source_can_write",
            f"the source login {source.login!r} could write: {shown}{more}; "
            "a refresh reads production with a login that cannot",
        )
    ]

"""Where browsers find the console."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """Where the console is, as browsers see it."""

    hosts: frozenset[str]
    """Names that may stand in `Host`; others are a trick with DNS."""

    origins: frozenset[str]
    """What may stand in `Origin` of a request that changes something."""

    is_secure: bool

    @property
    def session_cookie(self) -> str:
        """Name of the session's cookie; the prefix makes browsers refuse it from subdomains."""
        return "__Host-penstock" if self.is_secure else "penstock"

    @property
    def visit_cookie(self) -> str:
        """Name of the cookie that the forms of those who are not logged on hang on."""
        return "__Host-penstock-visit" if self.is_secure else "penstock-visit"

    @property
    def address(self) -> str:
        """Where to tell people to go."""
        return min(self.origins)

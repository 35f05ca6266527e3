"""How an API is reached: the part of a source's configuration that every reader of it shares.

Secrets stand as references (`env:TDX_API_TOKEN`); whoever opens the client resolves them.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Protocol, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from chassis.secrets import SecretReference
from contracts.types import Name

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
Seconds = Annotated[float, Field(gt=0)]


class SecretLookup(Protocol):
    """Resolved secrets."""

    def __getitem__(self, reference: str, /) -> str:
        """Return the secret that a reference stands for."""
        ...


def _web_address(value: str) -> str:
    if not value.startswith(("http://", "https://")) or "@" in value or "?" in value:
        raise ValueError("is not of the form https://host/path, without user, password and query")
    return value.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_web_address)]
"""An address without credentials: those are secrets, and addresses are shown."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NoAuth(_Section):
    """An open API."""

    kind: Literal["none"] = "none"


class BearerAuth(_Section):
    """`Authorization: Bearer <token>`."""

    kind: Literal["bearer"]
    token: SecretReference


class HeaderAuth(_Section):
    """A key in a header of the API's own."""

    kind: Literal["header"]
    name: HeaderName
    value: SecretReference


class QueryAuth(_Section):
    """A key in the query; it is kept out of logs and errors like the others."""

    kind: Literal["query"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    value: SecretReference


class BasicAuth(_Section):
    """User and password."""

    kind: Literal["basic"]
    username: SecretReference
    password: SecretReference


class OAuth2Auth(_Section):
    """OAuth2 client credentials: a token that is fetched, kept and renewed."""

    kind: Literal["oauth2"]
    token_url: WebAddress
    client_id: SecretReference
    client_secret: SecretReference
    scope: str | None = None
    client_in_body: bool = False
    """Send the credentials as form fields, where the server does not take basic authentication."""


AuthConfig = Annotated[
    NoAuth | BearerAuth | HeaderAuth | QueryAuth | BasicAuth | OAuth2Auth,
    Field(discriminator="kind"),
]


class ProxyConfig(_Section):
    """A corporate proxy with a domain user (S1-11); see docs/decisions/0039.

    The log-on is what the proxy offers: NTLM, else Negotiate, else Basic.
    """

    url: SecretReference
    """`http://proxy:8080`, `https://proxy:8443`, or `proxy:8080`."""

    username: SecretReference | None = None
    password: SecretReference | None = None
    domain: str = ""
    """Put before the user name, as `DOMAIN\\user`; empty leaves it out. May be a reference too."""


class CaShareConfig(_Section):
    """A certificate authority's file on the NAS (S1-10, C-08)."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    """Below the root of the share in `NAS_*`."""

    max_bytes: Annotated[int, Field(ge=1)] = 1024 * 1024


class RetryConfig(_Section):
    """How often one request is tried before its failure counts."""

    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    total_seconds: Seconds = 120.0
    """From the first attempt; no new one begins after it."""


class BudgetConfig(_Section):
    """How many requests all replicas together may send with one credential (C-20)."""

    requests_per_minute: Annotated[float, Field(gt=0)]
    burst: Annotated[int, Field(ge=1)] = 1
    """Requests that may follow each other at once after a pause."""

    name: Name | None = None
    """Sources with the same name share the budget; by default those with the same credential."""


class HttpConfig(_Section):
    """Where an API is and how it is spoken to."""

    base_url: WebAddress
    auth: AuthConfig = NoAuth()
    headers: dict[HeaderName, str] = {}
    proxy: ProxyConfig | None = None
    ca_file: str | None = None
    """A PEM file with the authorities to trust beside the usual ones."""

    ca_share: CaShareConfig | None = None
    connect_timeout_seconds: Seconds = 10.0
    timeout_seconds: Seconds = 30.0
    """Longest silence while an answer is awaited or read."""

    request_seconds: Seconds = 120.0
    """Longest time for one attempt as a whole: a server may also drip."""

    error_fields: tuple[str, ...] = ("Error Message", "error")
    """Where the API puts an error into an object that comes with status 200."""

    max_body_bytes: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024
    connections: Annotated[int, Field(ge=1, le=200)] = 20
    retry: RetryConfig = RetryConfig()
    budget: BudgetConfig | None = None

    @model_validator(mode="after")
    def _one_authority(self) -> Self:
        if self.ca_file and self.ca_share:
            raise ValueError("`ca_file` or `ca_share`, not both")
        return self

    def credential(self) -> str:
        """Return a name for the credential: what the secrets are called, never what they are."""
        names = sorted(
            reference.removeprefix("env:")
            for reference in references(self.auth)
            if reference.startswith("env:")
        )
        return "+".join(names) or self.base_url


def references(section: BaseModel) -> Iterator[str]:
    """Yield the secret references of a section."""
    for value in section.model_dump().values():
        if isinstance(value, str) and value.startswith("env:"):
            yield value

"""The section `records` of a directory: `kind: ldap`."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chassis.secrets import SecretReference

Attribute = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*|\*|\+|[0-9.]+)$")
]
"""The name of an attribute; `*` and `+` stand for all user and all operational ones."""


class LdapAuth(BaseModel):
    """A simple bind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: SecretReference | str
    """A distinguished name, or `user@domain` in Active Directory."""

    password: SecretReference


class LdapRecords(BaseModel):
    """Where a directory is, and what is read of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ldap"]
    url: Annotated[str, StringConstraints(pattern=r"^(ldaps?://[^\s/]+|env:[A-Z][A-Z0-9_]*)$")]
    """`ldap://host:port`, `ldaps://host:port`, or a reference to it."""

    start_tls: bool = False
    """Encrypt an `ldap://` connection before anything is said."""

    ca_file: str | None = None
    """Certificates of the authorities to trust; by default the system's."""

    verify_certificate: bool = True
    allow_unencrypted: bool = False
    """Send a password over `ldap://` without encryption."""

    auth: LdapAuth | None = None
    """None binds anonymously."""

    base: Annotated[str, StringConstraints(min_length=1)]
    filter: Annotated[str, StringConstraints(pattern=r"^\(.*\)$")] = "(objectClass=*)"
    scope: Literal["subtree", "one", "base"] = "subtree"
    attributes: Annotated[tuple[Attribute, ...], Field(min_length=1)] = ("*",)
    binary: tuple[Attribute, ...] = ()
    """Attributes that are told in base64; one that is not text and not listed is an error."""

    id_attribute: Attribute | None = None
    """By which single records can be asked for, when the record's `id` is this one attribute."""

    modified_attribute: Attribute | None = None
    """`modifyTimestamp`, or `whenChanged` or `uSNChanged` in Active Directory."""

    page_size: Annotated[int, Field(ge=1, le=10000)] = 500
    """Active Directory gives at most 1000 by default."""

    timeout_seconds: Annotated[float, Field(gt=0)] = 30.0

    @model_validator(mode="after")
    def _tls_makes_sense(self) -> Self:
        if self.start_tls and self.url.startswith("ldaps:"):
            raise ValueError("`start_tls` is for `ldap://`; `ldaps://` is encrypted already")
        return self

"""Why the console does not do what it was asked.

PermanentError
├── NotFoundError        there is no such thing
├── RefusedError         the request is understood and not carried out; the message says why
│   └── LoginRefusedError    wrong name or password, or too many attempts
└── OidcError            the identity provider's answer cannot be trusted
"""

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory


class NotFoundError(PermanentError):
    """There is no such thing."""


class RefusedError(PermanentError):
    """This cannot be done now."""


class LoginRefusedError(RefusedError):
    """Wrong name or password."""


class OidcError(PermanentError):
    """The identity provider's answer cannot be used."""

    default_category = ErrorCategory.CONFIG_VALIDATION

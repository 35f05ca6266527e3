"""Why the console does not do what it was asked.

PermanentError
├── NotFoundError        there is no such thing
├── ForbiddenError       whoever asks may not
├── RefusedError         the request is understood and not carried out; the message says why
│   └── LoginRefusedError    wrong name or password, or too many attempts
└── OidcError            the identity provider's answer cannot be trusted
"""

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory


class NotFoundError(PermanentError):
    """There is no such thing."""


class ForbiddenError(PermanentError):
    """This needs another role."""


class RefusedError(PermanentError):
    """This cannot be done now."""


class LoginRefusedError(RefusedError):
    """Wrong name or password."""


class OidcError(PermanentError):
    """The identity provider's answer cannot be used."""

    default_category = ErrorCategory.CONFIG_VALIDATION

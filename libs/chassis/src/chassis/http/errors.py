"""What an API's answer means for the work at hand (S3-10…S3-13, C-21).

    TransientError
    └── HttpUnavailableError     500, 502, 503, 504, time-out, broken connection or body
        └── RateLimitedError     429: wait as long as it says, at least ten seconds
    PermanentError
    ├── ApiAccessError           401, 403, a proxy refuses us: abort the task at once
    ├── ApiPlanError             402: the endpoint is closed for this run
    ├── ApiTlsError              the certificate is not trusted; nothing was sent
    └── ApiItemError             this one request is at fault; the next may be fine
        ├── ApiRequestError      400 and its like: skip the item and record it
        ├── ApiNotFoundError     404: the item is unknown; recorded
        └── ApiBodyError         200 with something that is no data

A message names method, path and status; never the query, a header or a body, which hold secrets.
"""

from chassis.errors import PermanentError, UnavailableError
from contracts.errors import ErrorCategory

RATE_LIMIT_FLOOR_SECONDS = 10.0
"""The least pause after a 429 (S3-11), whatever the server says."""


class HttpUnavailableError(UnavailableError):
    """The API does not answer."""

    default_category = ErrorCategory.SOURCE_REQUEST


class RateLimitedError(HttpUnavailableError):
    """The API asks us to wait."""


class ApiAccessError(PermanentError):
    """The API refuses the credentials."""

    default_category = ErrorCategory.SOURCE_ACCESS


class ApiPlanError(PermanentError):
    """The plan does not cover the endpoint."""

    default_category = ErrorCategory.SOURCE_ACCESS


class ApiTlsError(PermanentError):
    """The certificate of the API cannot be trusted."""

    default_category = ErrorCategory.SSL_SETUP


class ApiItemError(PermanentError):
    """The API cannot answer this request."""

    default_category = ErrorCategory.SOURCE_REQUEST


class ApiRequestError(ApiItemError):
    """The API refuses the request."""


class ApiNotFoundError(ApiItemError):
    """The API does not know the item."""


class ApiBodyError(ApiItemError):
    """The API answered with something that is no data."""

    default_category = ErrorCategory.CONTENT_PARSE

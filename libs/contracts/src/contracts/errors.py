"""The categories under which failures are logged, counted and dead-lettered.

The first seventeen are those of the transcript synchronisation that Penstock replaces (S1-29);
operators filter by them, so a value is never renamed. The rest name what only an event-driven
system can get wrong.
"""

from enum import StrEnum


class ErrorCategory(StrEnum):
    """Why something failed, in the words operators already know."""

    ENVIRONMENT_VALIDATION = "environment_validation"
    """A setting is missing, mistyped or out of range."""

    NAS_CONNECTION = "nas_connection"
    """The share cannot be reached, or refuses the log-on."""

    CONFIG_LOAD = "config_load"
    """A configuration file cannot be read."""

    CONFIG_PARSE = "config_parse"
    """A configuration file is not valid YAML."""

    CONFIG_VALIDATION = "config_validation"
    """A configuration file has the wrong structure."""

    SSL_SETUP = "ssl_setup"
    """A certificate cannot be fetched, read or trusted."""

    PROXY_SETUP = "proxy_setup"
    """The proxy settings are unusable."""

    NAS_DOWNLOAD = "nas_download"
    """A file on the share cannot be read."""

    NAS_UPLOAD = "nas_upload"
    """A file cannot be written to the share."""

    NAS_LIST_FILES = "nas_list_files"
    """The files of a directory cannot be listed."""

    NAS_LIST_DIRECTORIES = "nas_list_directories"
    """The subdirectories of a directory cannot be listed."""

    DIRECTORY_CREATION = "directory_creation"
    """A directory cannot be created on the share."""

    FILE_METADATA = "file_metadata"
    """The size or the time of a file cannot be read or believed."""

    DATABASE_LOAD = "database_load"
    """The known inventory cannot be read; never treated as an empty one."""

    QUEUE_SAVE = "queue_save"
    """An output (event, queue file) cannot be written."""

    PATH_VALIDATION = "path_validation"
    """A path is unsafe: traversal, control characters, reserved names."""

    MAIN_EXECUTION = "main_execution"
    """An unexpected failure at the top level: a bug."""

    MESSAGE_DECODE = "message_decode"
    """A message is not a readable event or command."""

    MESSAGE_TOO_LARGE = "message_too_large"
    """A message, file or document is over its size limit."""

    CONTENT_PARSE = "content_parse"
    """A document was fetched but cannot be parsed safely."""

    CONTENT_VALIDATION = "content_validation"
    """A document or record was parsed but breaks a rule that it must meet."""

    STORAGE = "storage"
    """The object store or the database refused a write for good."""

    DELETION_GUARD = "deletion_guard"
    """Deletions were held back because they look like a failed reading."""

    SOURCE_ACCESS = "source_access"
    """A record source refuses the credentials, or the plan does not cover the request."""

    SOURCE_REQUEST = "source_request"
    """A record source refuses a request, or does not answer it."""

"""The client library, imported quietly, and encryption as the standard library does it today."""

import ssl
import warnings
from typing import Any

with warnings.catch_warnings():
    # ldap3 2.9.1 imports two names by spellings that pyasn1 has replaced and still has.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core import exceptions as ldap_errors
    from ldap3.utils.conv import escape_bytes, escape_filter_chars

__all__ = ["StandardTls", "escape_bytes", "escape_filter_chars", "ldap3", "ldap_errors"]


class StandardTls(ldap3.Tls):
    """Has `ssl` check certificate and host name; the library's own check is deprecated code."""

    def __init__(self, ca_file: str | None, *, verifies: bool) -> None:
        super().__init__()
        self._context = ssl.create_default_context(cafile=ca_file)
        if not verifies:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the library's signature
        """Encrypt a connection.

        Raises:
            OSError: the certificate is not to be trusted, or not for this host.
        """
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=connection.server.host
        )

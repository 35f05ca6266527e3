"""Certificates in PEM files: whether they can be used, and until when.

Problems are sentences without the file's name: the caller knows which setting named it.
"""

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509


def problem_of_authorities(file: Path) -> str | None:
    """Return why these authorities cannot be trusted, or None."""
    try:
        ssl.create_default_context(cafile=file)
    except OSError:  # an `SSLError` is one
        return "names a file without a certificate in PEM form"
    return None


def problem_of_pair(certificate: Path, key: Path) -> str | None:
    """Return why this key cannot be used with this certificate, or None."""
    try:
        # An encrypted key would ask at the terminal; with an empty password it is refused.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except OSError:
        return "is no private key in PEM form, or does not belong to its certificate"
    return None


def expires_at(file: Path) -> datetime:
    """Return when the first certificate of a PEM file ends."""
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc

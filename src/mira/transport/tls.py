"""The TLS settings towards upstreams: verified against the system's trust store, HTTP/1.1 only."""

import asyncio
import ssl
from pathlib import Path

# Where distributions keep their bundle, for Pythons that were built for another one.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_tls() -> ssl.SSLContext:
    """A context that verifies certificate and name; honours SSL_CERT_FILE and SSL_CERT_DIR.

    Loading the trust store takes some 10 ms and 1 MB: make one and share it among all pools.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    folder = ssl.get_default_verify_paths().capath
    if not context.cert_store_stats()["x509_ca"] and not (folder and any(Path(folder).iterdir())):
        bundle = next((path for path in _BUNDLES if Path(path).is_file()), None)
        if bundle is not None:
            context.load_verify_locations(bundle)
    return context


def is_closed_by_peer(transport: asyncio.BaseTransport) -> bool:
    """Whether the end of file on a transport is the peer's own word: under TLS anybody on the way can cut it.

    The event loops do not tell the two apart, but the TLS object knows whether it has seen the closing alert.
    """
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False

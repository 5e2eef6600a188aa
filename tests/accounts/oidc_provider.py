"""An OpenID Connect provider in a process of its own, and a person's way through it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
from tests.support.gateway import PATIENCE_S, eventually
from tests.support.ports import free_port


class OidcProvider:
    """The provider at `issuer`; `put` says what it knows of somebody."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"

    def put(self, subject: str, **claims: Any) -> None:
        """Makes somebody whom the provider knows, with the claims it tells of them."""
        response = httpx2.put(f"{self.issuer}/users/{subject}", json=claims, timeout=PATIENCE_S, trust_env=False)
        assert response.is_success, response.text


@contextmanager
def oidc_provider() -> Iterator[OidcProvider]:
    """Starts a provider and ends it."""
    provider = OidcProvider(free_port())
    port = str(urlsplit(provider.issuer).port)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "-p", port, "--require-nonce", "true"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _answers(provider.issuer))
        yield provider
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def sign_on(browser: httpx2.Client, subject: str) -> httpx2.Response:
    """Goes from the portal to the provider, says yes there as somebody, and comes back: the portal's last answer."""
    sent = browser.get("/portal/v1/oidc/start")
    assert sent.status_code == 303, sent.text
    there = sent.headers["location"]
    with httpx2.Client(timeout=PATIENCE_S, trust_env=False) as provider:
        back = provider.post(there, data={"sub": subject})
    assert back.status_code == 302, back.text
    return browser.get(re.sub(r"^https?://[^/]+", "", back.headers["location"]))


def _answers(issuer: str) -> bool:
    try:
        return httpx2.get(f"{issuer}/.well-known/openid-configuration", timeout=PATIENCE_S, trust_env=False).is_success
    except httpx2.TransportError:
        return False

"""An OpenID Connect provider, as its client sees it: discovery, the way there, and what it says of who came back.

Authorization code with PKCE, state and nonce. What stands in the tokens is checked by authlib and joserfc.
"""

import base64
import secrets
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from mira.config_tables import OidcConfig

#: Signatures with keys that the provider publishes; none with a shared secret, and none at all.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KNOWN_LASTS_S = 3600.0
LIMIT_BYTES = 512 * 1024
LEEWAY_S = 60
ACCEPT = (b"accept", b"application/json")


class ProviderError(Exception):
    """The provider cannot be used, or what it says cannot be believed; the text is for the log, without its words."""


class Answer(Protocol):
    """A provider's answer whose head is in."""

    status: int

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body."""


class Client(Protocol):
    """What is needed of an HTTP client (see `mira.transport`)."""

    async def request(self, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes = ...) -> Answer:
        """Sends a request; returns once the head of the answer is in."""

    async def close(self) -> None:
        """Closes every connection."""


class Trip(Struct, frozen=True):
    """What must be known again when somebody comes back from the provider; it travels sealed in their browser."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    began_at_ms: int


class Identity(Struct, frozen=True):
    """Who came back, in the provider's words. `email` is lower-case, and theirs where it is `verified`."""

    issuer: str
    subject: str
    email: str | None
    verified: bool
    name: str | None


class Provider:
    """One provider. `new_client` makes an HTTP client for an origin."""

    def __init__(
        self, config: OidcConfig, new_client: Callable[[str], Client], *, monotonic_s: Callable[[], float]
    ) -> None:
        self._config = config
        self._new_client = new_client
        self._monotonic_s = monotonic_s
        self._known: tuple[float, dict[str, Any]] | None = None
        self._keys: Any = None

    async def way_there(self, trip: Trip) -> str:
        """The address to which a browser is sent; ProviderError."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415 - only who signs on needs it
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415 - as above

        metadata = await self._metadata()
        return str(
            prepare_grant_uri(
                metadata["authorization_endpoint"],
                self._config.client_id,
                "code",
                redirect_uri=trip.redirect_uri,
                scope="openid email profile",
                state=trip.state,
                nonce=trip.nonce,
                code_challenge=create_s256_code_challenge(trip.verifier),
                code_challenge_method="S256",
            )
        )

    async def who_came(self, code: str, trip: Trip, now_s: int) -> Identity:
        """Who brings a code; ProviderError where the provider does not know it, or its word cannot be believed."""
        metadata = await self._metadata()
        tokens = await self._tokens(metadata, code, trip)
        claims = await self._claims(metadata, tokens, trip, now_s)
        told: dict[str, Any] = dict(claims)
        if "email" not in told and "userinfo_endpoint" in metadata and isinstance(tokens.get("access_token"), str):
            bearer = (b"authorization", b"Bearer " + tokens["access_token"].encode())
            more = await self._json("GET", metadata["userinfo_endpoint"], [bearer])
            if more.get("sub") != told["sub"]:
                raise ProviderError("the user information is of somebody else")
            told = {**more, **told}
        email, name = told.get("email"), told.get("name")
        return Identity(
            issuer=self._config.issuer.rstrip("/"),
            subject=str(told["sub"])[:300],
            email=email.strip().lower() if isinstance(email, str) and 3 <= len(email) <= 320 else None,
            verified=told.get("email_verified") in (True, "true"),
            name=name[:200] if isinstance(name, str) and name.strip() else None,
        )

    async def _metadata(self) -> dict[str, Any]:
        now_s = self._monotonic_s()
        if self._known is not None and now_s - self._known[0] < KNOWN_LASTS_S:
            return self._known[1]
        issuer = self._config.issuer.rstrip("/")
        found = await self._json("GET", f"{issuer}/.well-known/openid-configuration", [])
        if str(found.get("issuer", "")).rstrip("/") != issuer:
            raise ProviderError("the provider calls itself by another name than oidc.issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if urlsplit(str(found.get(name, ""))).scheme not in ("http", "https"):
                raise ProviderError(f"the provider names no {name}")
        self._known = now_s, found
        self._keys = None
        return found

    async def _tokens(self, metadata: dict[str, Any], code: str, trip: Trip) -> dict[str, Any]:
        config = self._config
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": trip.redirect_uri,
            "code_verifier": trip.verifier,
        }
        headers = [(b"content-type", b"application/x-www-form-urlencoded")]
        ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" in ways:
            pair = f"{quote(config.client_id, safe='')}:{quote(config.client_secret, safe='')}"
            headers.append((b"authorization", b"Basic " + base64.b64encode(pair.encode())))
        else:
            form |= {"client_id": config.client_id, "client_secret": config.client_secret}
        return await self._json("POST", metadata["token_endpoint"], headers, urlencode(form).encode())

    async def _claims(self, metadata: dict[str, Any], tokens: dict[str, Any], trip: Trip, now_s: int) -> Any:
        from authlib.oidc.core import CodeIDToken  # noqa: PLC0415 - only who signs on needs it
        from joserfc import jwt  # noqa: PLC0415 - as above
        from joserfc.errors import JoseError  # noqa: PLC0415 - as above

        if not isinstance(tokens.get("id_token"), str):
            raise ProviderError("the provider sent no id token")
        try:
            token = await self._decoded(metadata, tokens["id_token"], jwt)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": metadata["issuer"]},
                    "aud": {"essential": True, "value": self._config.client_id},
                    "sub": {"essential": True},
                },
                {"nonce": trip.nonce, "client_id": self._config.client_id, "access_token": tokens.get("access_token")},
            )
            claims.validate(now_s, LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderError(f"the id token is not good: {type(error).__name__}") from None
        return claims

    async def _decoded(self, metadata: dict[str, Any], token: str, jwt: Any) -> Any:
        """The token with its signature checked; the keys are asked for again where it names one that is not known."""
        from joserfc.jwk import KeySet  # noqa: PLC0415 - only who signs on needs it

        if self._keys is not None:
            try:
                return jwt.decode(token, self._keys, algorithms=ALGORITHMS)
            except ValueError:
                pass  # perhaps the provider has new keys
        keys: Any = await self._json("GET", metadata["jwks_uri"], [])
        self._keys = KeySet.import_key_set(keys)
        return jwt.decode(token, self._keys, algorithms=ALGORITHMS)

    async def _json(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes = b""
    ) -> dict[str, Any]:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        client = self._new_client(f"{parts.scheme}://{parts.netloc}")
        try:
            answer = await client.request(method, target, [ACCEPT, *headers], body)
            content = await answer.read(LIMIT_BYTES)
        except Exception as error:  # noqa: BLE001 - whatever the transport says, the provider did not answer
            raise ProviderError(f"the provider did not answer: {type(error).__name__}") from None
        finally:
            await client.close()
        try:
            found = msgspec.json.decode(content) if answer.status == 200 else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = None
        if not isinstance(found, dict):
            raise ProviderError(f"the provider answered with status {answer.status} and no JSON object that is wanted")
        return found


def new_trip(redirect_uri: str, now_ms: int) -> Trip:
    """A trip that nobody can guess."""
    return Trip(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), redirect_uri, now_ms)

"""How one shows who one is: the schemes of the gateway, as `connect(auth=…)` takes them."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Any, Callable, Optional, Union

import httpx

from . import _address
from ._address import Address
from ._errors import ConfigurationError, MissingExtraError

Flow = Generator[httpx.Request, httpx.Response, None]


class Basic(httpx.BasicAuth):
    """A name and a password that the gateway's directory knows."""

    def __init__(self, user: str, password: str) -> None:
        if ":" in user:
            raise ConfigurationError("a user name for Basic authentication holds no colon")
        super().__init__(user, password)


class Bearer(httpx.Auth):
    """A token: one of Hearth's own, or one of an OpenID provider.

    A function is asked for each request, so it should keep a token while it is good. When the gateway refuses one, it is asked once more.
    """

    def __init__(self, token: Union[str, Callable[[], str]]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Flow:
        """See httpx."""
        token = self._show(request)
        response = yield request
        if response.status_code == 401 and callable(self._token) and self._show(request) != token:
            yield request

    def _show(self, request: httpx.Request) -> str:
        token = (self._token() if callable(self._token) else self._token).strip()
        if not token.isascii() or not token.isprintable() or " " in token or not token:
            raise ConfigurationError("a token is one word of ASCII letters; this one is empty or holds something else")
        request.headers["authorization"] = f"Bearer {token}"
        return token

    def __repr__(self) -> str:
        return "Bearer(…)"


class Cookie(httpx.Auth):
    """A login that a browser has made at the gateway (`/login`), by the value of its cookie `__Host-hearth`."""

    def __init__(self, value: str) -> None:
        self._value = value

    def auth_flow(self, request: httpx.Request) -> Flow:
        """See httpx."""
        name = "__Host-hearth" if request.url.scheme == "https" else "hearth"
        request.headers["cookie"] = f"{name}={self._value}"
        yield request

    def __repr__(self) -> str:
        return "Cookie(…)"


class Kerberos(httpx.Auth):
    """The caller's Kerberos ticket (`kinit`), by SPNEGO. Needs `pip install 'hearth[kerberos]'`.

    The gateway answers the first request with a login of its own (a cookie), which stands for the ticket until it ends.
    """

    requires_response_body = False

    def __init__(self, service: str = "HTTP", hostname: Optional[str] = None) -> None:
        """@param hostname  the host of the service principal, where it is not that of the address"""
        self._service = service
        self._hostname = hostname

    def auth_flow(self, request: httpx.Request) -> Flow:
        """See httpx."""
        if "cookie" in request.headers:
            response = yield request
            if response.status_code != 401:
                return
            # The login has ended.
            del request.headers["cookie"]
        context = self._context(request.url.host)
        request.headers["authorization"] = "Negotiate " + _encoded(self._step(context, None))
        response = yield request
        shown = _negotiated(response)
        if response.status_code == 401:
            return
        if shown is None:
            raise ConfigurationError("the gateway took the Kerberos ticket and did not show who it is itself")
        self._step(context, shown)

    def _context(self, host: str) -> Any:
        try:
            import spnego
        except ImportError:
            raise MissingExtraError("Kerberos needs a package: pip install 'hearth[kerberos]'") from None
        try:
            return spnego.client(
                hostname=self._hostname or host,
                service=self._service,
                protocol="kerberos",
                context_req=spnego.ContextReq.mutual_auth | spnego.ContextReq.sequence_detect,
            )
        except ImportError:
            raise MissingExtraError("Kerberos needs the system's library: pip install 'hearth[kerberos]'") from None
        except spnego.exceptions.SpnegoError as e:
            raise _no_ticket(e) from e

    @staticmethod
    def _step(context: Any, token: Optional[bytes]) -> Optional[bytes]:
        import spnego

        try:
            step: Optional[bytes] = context.step(token)
        except spnego.exceptions.SpnegoError as e:
            raise _no_ticket(e) from e
        return step


class Certificate:
    """A client certificate."""

    def __init__(self, certificate: _Path, key: Optional[_Path] = None, password: Optional[str] = None) -> None:
        """@param certificate  PEM file of the certificate, and of those between it and its CA
        @param key             PEM file of its private key, where the first has none
        @param password        of the key
        """
        self._files = (os.fspath(certificate), None if key is None else os.fspath(key))
        self._password = password

    def add_to(self, context: ssl.SSLContext) -> None:
        """Shows it on the connections of a context."""
        try:
            # A function, so that no prompt asks on the terminal for the password of a key that has one.
            context.load_cert_chain(*self._files, password=lambda: self._password or "")
        except (OSError, ValueError) as e:
            raise ConfigurationError(f"the client certificate {self._files[0]} cannot be used: {e}") from e

    def __repr__(self) -> str:
        return f"Certificate({self._files[0]!r})"


_Path = Union[str, "os.PathLike[str]"]
Auth = Union[None, bool, str, tuple[str, str], Callable[[], str], Certificate, httpx.Auth]
"""What `auth=` takes: None (`HEARTH_TOKEN` when it is set), False (nothing), a token, a function that gives one, `(user, password)`, or one
of the schemes of this module."""
Verify = Union[bool, str, "os.PathLike[str]", ssl.SSLContext]
"""What `verify=` takes: True (the machine's and certifi's CAs), a PEM file or folder of CAs, a context of one's own, False (no check)."""


def scheme(auth: Auth, address: Address) -> tuple[Optional[httpx.Auth], Optional[Certificate]]:
    """What shows the caller in requests, and on connections."""
    if auth is None:
        auth = _token_of_environment(address)
    if auth is None or auth is False:
        return None, None
    if isinstance(auth, Certificate):
        if not address.is_secure:
            raise ConfigurationError("a client certificate is shown over https:// alone")
        return None, auth
    shown = _shown(auth)
    if not (address.is_secure or address.is_loopback) and not isinstance(shown, Kerberos):
        raise ConfigurationError(
            f"{address.base} is not https://: no credential is sent in the clear to another machine"
        )
    return shown, None


def _shown(auth: Any) -> httpx.Auth:
    if isinstance(auth, httpx.Auth):
        return auth
    if isinstance(auth, str) or (callable(auth) and not isinstance(auth, type)):
        return Bearer(auth)
    if isinstance(auth, tuple) and len(auth) == 2:
        return Basic(*auth)
    # Not the value itself: it may be a secret.
    raise ConfigurationError(
        f"auth cannot be of type {type(auth).__name__}: give a token, a function that returns one, (user, password), "
        "hearth.Kerberos(), hearth.Certificate(…) or hearth.Cookie(…)"
    )


def _token_of_environment(address: Address) -> Optional[str]:
    """`HEARTH_TOKEN`, which is for the gateway of `HEARTH_URL` alone where that is set."""
    token, url = os.environ.get("HEARTH_TOKEN"), os.environ.get("HEARTH_URL")
    if not token or (url and _address.parse(url)[0] != address):
        return None
    return token


def tls(verify: Verify, certificate: Optional[Certificate]) -> ssl.SSLContext:
    """How the gateway's certificate is checked, and ours shown."""
    context = _context(verify)
    if certificate is not None:
        certificate.add_to(context)
    return context


def _context(verify: Verify) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if verify is True:
        context = httpx.create_ssl_context()
        # A company's CA is known to its machines, and not to certifi.
        context.load_default_certs()
        return context
    path = Path(verify)
    try:
        return ssl.create_default_context(
            cafile=None if path.is_dir() else path, capath=path if path.is_dir() else None
        )
    except OSError as e:
        raise ConfigurationError(f"verify: {path} cannot be used as a file of CAs: {e}") from e


def _encoded(token: Optional[bytes]) -> str:
    return base64.b64encode(token or b"").decode("ascii")


def _no_ticket(e: Exception) -> ConfigurationError:
    return ConfigurationError(f"there is no Kerberos ticket that this gateway takes: {e}\nGet one by kinit.")


def _negotiated(response: httpx.Response) -> Optional[bytes]:
    """The server's own token."""
    for value in response.headers.get_list("www-authenticate"):
        words = value.split(" ", 1)
        if words[0].lower() == "negotiate" and len(words) == 2:
            return base64.b64decode(words[1])
    return None

"""Addresses of a gateway and of what it holds, as people write them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Optional
from urllib.parse import unquote, urlsplit

from ._errors import ConfigurationError

# What an address may name: `https://host:8998/sessions/0`, `https://host:8998/contexts/NAME`.
_PLACES = ("sessions", "contexts")


@dataclass(frozen=True)
class Place:
    """A session or a context, by the words of an address."""

    kind: str
    """`sessions` or `contexts`."""
    name: str
    """An id, a number or a name."""


@dataclass(frozen=True)
class Address:
    """Where a gateway is."""

    base: str
    """Scheme, host, port and prefix, without a slash at the end."""
    host: str
    """The host's name or address, as certificates and Kerberos know it."""

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken there."""
        return self.base.startswith("https:")

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return _is_loopback(self.host)


def parse(url: str) -> tuple[Address, Optional[Place]]:
    """The gateway of an address, and the session or the context that the address goes on to name.

    Without a scheme it is `https`, on this machine's own addresses `http`.
    """
    text = url.strip()
    if "://" not in text:
        host = urlsplit("//" + text).hostname or ""
        text = f"{'http' if _is_loopback(host) else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as e:
        raise ConfigurationError(f"{url!r} is no address: {e}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{url!r} is no address of a gateway: write it like https://host:8998")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("an address holds no user and no password: give them as auth=(user, password)")
    prefix, place = _split(parts.path)
    name = f"[{host}]" if ":" in host else host
    base = f"{parts.scheme}://{name}{'' if port is None else f':{port}'}{prefix}"
    return Address(base, host), place


def _split(path: str) -> tuple[str, Optional[Place]]:
    """What stands before the routes, and the place that is named behind it."""
    words = [word for word in path.split("/") if word]
    place = None
    if len(words) >= 2 and words[-2] in _PLACES:
        place = Place(words[-2], unquote(words[-1]))
        words = words[:-2]
    if words[-2:] == ["api", "v1"]:
        words = words[:-2]
    return "".join(f"/{word}" for word in words), place


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

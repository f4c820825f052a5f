"""Who one is by each scheme, against a gateway that has it: `schemes.py SCHEME URL WORD...`. An assertion that fails is the verdict."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import hearth
from hearth import aio


def check(url: str, auth: Any, ca: str, user: str, scheme: str) -> None:
    """Both clients are let in, as this user and by this scheme, more than once."""
    with hearth.connect(url, auth=auth, verify=ca or True) as client:
        login = client.whoami()
        assert login.user == user, login
        assert login.scheme in (scheme, "cookie"), login

    async def awaited() -> hearth.Login:
        async with await aio.connect(url, auth=auth, verify=ca or True) as client:
            return await client.whoami()

    login = asyncio.run(awaited())
    assert login.user == user, login


def refused(url: str, auth: Any, ca: str) -> None:
    """The gateway does not let this in, and the error says what would."""
    try:
        hearth.connect(url, auth=auth, verify=ca or True).close()
    except hearth.AuthenticationError as e:
        assert "auth=" in str(e), e
        return
    raise AssertionError("somebody was let in")


def basic(url: str, ca: str, user: str, password: str) -> None:
    """A name and a password; then a token of theirs, in each of its forms."""
    check(url, (user, password), ca, user, "basic")
    refused(url, False, ca)
    with hearth.connect(url, auth=(user, password), verify=ca or True) as client:
        made = client.create_token("python-library", scope="view", ttl="1h")
        assert made.secret not in repr(made), made
        assert [each.id for each in client.tokens()] == [made.id]
        for auth in (made.secret, hearth.Bearer(made.secret), lambda: made.secret, (user, made.secret)):
            check(url, auth, ca, user, "token")
        client.revoke_token(made)
        assert client.tokens() == []
    # At last, for it makes the next try wait.
    refused(url, (user, "wrong"), ca)


def token(url: str, ca: str, user: str, secret: str) -> None:
    """A token: of Hearth, or of an OpenID provider."""
    for auth in (secret, lambda: secret):
        with hearth.connect(url, auth=auth, verify=ca or True) as client:
            assert client.whoami().user == user
    refused(url, secret[:-1], ca)


def certificate(url: str, ca: str, user: str, file: str, key: str) -> None:
    """A client certificate."""
    check(url, hearth.Certificate(file, key), ca, user, "certificate")
    refused(url, False, ca)
    try:
        hearth.connect(url, auth=hearth.Certificate(file, key))
    except hearth.UnreachableError as e:
        assert "verify=" in str(e), e
    else:
        raise AssertionError("a gateway of an unknown CA was believed")


def kerberos(url: str, ca: str, user: str) -> None:
    """The ticket of `KRB5CCNAME`, and the login that it begins."""
    check(url, hearth.Kerberos(), ca, user, "negotiate")
    with hearth.connect(url, auth=hearth.Kerberos(), verify=ca or True) as client:
        assert client.whoami().scheme == "cookie", client.whoami()
        client.log_out()
        # The ticket begins the next one by itself.
        assert client.whoami().user == user


def cookie(url: str, ca: str, user: str, value: str) -> None:
    """The login of a browser."""
    check(url, hearth.Cookie(value), ca, user, "cookie")
    refused(url, hearth.Cookie("0" * 43), ca)


if __name__ == "__main__":
    {each.__name__: each for each in (basic, token, certificate, kerberos, cookie)}[sys.argv[1]](*sys.argv[2:])
    print("well")

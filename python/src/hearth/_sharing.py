"""Grants: whom something is shared with."""

from __future__ import annotations

from typing import Optional, TypeVar, Union

from . import _lists
from ._blocking import Facade, blocking
from ._exchange import Exchange
from ._records import Grant, read
from ._request import delete, path_of, post


class AsyncShared:
    """What its owner can share."""

    _exchange: Exchange

    async def _place(self) -> str:
        """Its path."""
        raise NotImplementedError

    async def grant(
        self,
        level: str,
        *,
        user: Optional[str] = None,
        group: Optional[str] = None,
        expires_in: Optional[str] = None,
        confirm_identity: bool = False,
    ) -> Grant:
        """Shares it with a user or a group; takes the place of what was granted to the same before.

        @param level             of a context, session or batch `view` < `attach` (run code) < `manage`; of a handle `read` < `write` < `manage`
        @param expires_in        such as `8h` or `7d`
        @param confirm_identity  that whoever attaches to what runs as a person is meant to act as that person
        """
        said = {"level": level, "user": user, "group": group, "expires_in": expires_in}
        body: dict[str, object] = {name: value for name, value in said.items() if value is not None}
        if confirm_identity:
            body["confirm_identity"] = True
        return read(Grant, await self._exchange.call(post(await self._place() + "/grants", body)))

    async def grants(self) -> list[Grant]:
        """Whom it is shared with, oldest grant first."""
        found = await _lists.listed(self._exchange, await self._place() + "/grants")
        return [read(Grant, said) for said in found]

    async def revoke(self, grant: Union[Grant, str]) -> Grant:
        """Takes a grant back."""
        id_ = grant.id if isinstance(grant, Grant) else grant
        path = await self._place() + "/grants" + path_of(id_)
        return read(Grant, await self._exchange.call(delete(path)))


A_co = TypeVar("A_co", bound=AsyncShared, covariant=True)


class Shared(Facade[A_co]):
    """What its owner can share."""

    grant = blocking(AsyncShared.grant)
    grants = blocking(AsyncShared.grants)
    revoke = blocking(AsyncShared.revoke)

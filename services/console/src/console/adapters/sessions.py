"""Sessions, API tokens and attempts to log on, in PostgreSQL."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from chassis.db import Database
from console.domain.principals import Principal
from console.domain.roles import Role
from console.ports.identity import LIMIT_OF_ADDRESS, LIMIT_OF_NAME, ApiToken, SessionLimits

_TOUCH_SECONDS = 60

_FIND = """
select u.user_id, u.name, u.role, u.must_change_password, s.created_at + $2 as ends_at,
       s.last_seen_at < clock_timestamp() - make_interval(secs => $4) as is_stale
from console.sessions s join console.users u using (user_id)
where s.token_hash = $1 and u.is_active
  and s.created_at > clock_timestamp() - $2::interval
  and s.last_seen_at > clock_timestamp() - $3::interval
"""

_FIND_BEARER = """
select t.token_id, t.label, t.role as token_role, u.user_id, u.name, u.role,
       coalesce(t.last_used_at < clock_timestamp() - make_interval(secs => $2), true) as is_stale
from console.api_tokens t join console.users u using (user_id)
where t.token_hash = $1 and u.is_active and t.revoked_at is null
  and t.expires_at > clock_timestamp()
"""


_ATTEMPTS = """
select (select count(*) from console.login_attempts
        where name = $1 and at > clock_timestamp() - $3::interval) as of_name,
       (select count(*) from console.login_attempts
        where address = $2 and at > clock_timestamp() - $3::interval) as of_address
"""

_ATTEMPT = "insert into console.login_attempts (name, address) values ($1, $2)"


class PostgresSessions:
    """Who is logged on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self, user_id: uuid.UUID, token_hash: bytes, *, address: str, agent: str
    ) -> None:
        """Begin a session."""
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into console.sessions (token_hash, user_id, address, agent) "
                "values ($1, $2, $3, $4)",
                token_hash,
                user_id,
                address,
                agent,
            )

    async def find(
        self, token_hash: bytes, limits: SessionLimits, *, touches: bool = True
    ) -> Principal | None:
        """Return whose session it is, if it still is one."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                _FIND, token_hash, limits.lifetime, limits.idle, _TOUCH_SECONDS
            )
            if row is None:
                return None
            if touches and row["is_stale"]:
                await connection.execute(
                    "update console.sessions set last_seen_at = clock_timestamp() "
                    "where token_hash = $1",
                    token_hash,
                )
        return Principal(
            name=row["name"],
            role=Role(row["role"]),
            user_id=row["user_id"],
            must_change_password=row["must_change_password"],
            ends_at=row["ends_at"],
        )

    async def close(self, token_hash: bytes) -> None:
        """End a session."""
        async with self._database.connection() as connection:
            await connection.execute(
                "delete from console.sessions where token_hash = $1", token_hash
            )

    async def close_all(self, user_id: uuid.UUID, *, but: bytes | None = None) -> None:
        """End a user's sessions, all but one."""
        async with self._database.connection() as connection:
            await connection.execute(
                "delete from console.sessions "
                "where user_id = $1 and token_hash is distinct from $2",
                user_id,
                but,
            )

    async def trim(self, limits: SessionLimits) -> None:
        """Delete what is over: sessions, counted attempts, log-ons nobody came back from."""
        async with self._database.connection() as connection:
            await connection.execute(
                "delete from console.sessions where created_at < clock_timestamp() - $1::interval",
                limits.lifetime,
            )
            await connection.execute(
                "delete from console.login_attempts where at < clock_timestamp() - interval '1 day'"
            )
            await connection.execute(
                "delete from console.oidc_logins "
                "where created_at < clock_timestamp() - interval '1 hour'"
            )
            await connection.execute(
                "delete from console.commands "
                "where sent_at < clock_timestamp() - interval '30 days'"
            )


class PostgresTokens:
    """Tokens for the API."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, token_hash: bytes) -> Principal | None:
        """Return for whom a token speaks; its role is never above its owner's."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FIND_BEARER, token_hash, _TOUCH_SECONDS)
            if row is None:
                return None
            if row["is_stale"]:
                await connection.execute(
                    "update console.api_tokens set last_used_at = clock_timestamp() "
                    "where token_id = $1",
                    row["token_id"],
                )
        owner, own = Role(row["role"]), Role(row["token_role"])
        return Principal(
            name=f"{row['name']}/{row['label']}",
            role=own if owner.includes(own) else owner,
            user_id=row["user_id"],
            is_token=True,
        )

    async def add(
        self, token_hash: bytes, *, user_id: uuid.UUID, label: str, role: Role, expires_at: datetime
    ) -> None:
        """Keep a token's hash."""
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into console.api_tokens (token_hash, user_id, label, role, expires_at) "
                "values ($1, $2, $3, $4, $5)",
                token_hash,
                user_id,
                label,
                role.value,
                expires_at,
            )

    async def list(self) -> Sequence[ApiToken]:
        """Return every token, the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select token_id, u.name as owner, label, t.role, t.created_at, expires_at, "
                "last_used_at, revoked_at, expires_at < clock_timestamp() as is_expired "
                "from console.api_tokens t join console.users u using (user_id) "
                "order by t.created_at desc limit 1000"
            )
        return [ApiToken(**{**row, "role": Role(row["role"])}) for row in rows]

    async def revoke(self, token_id: uuid.UUID) -> str | None:
        """Make a token void at once."""
        async with self._database.connection() as connection:
            label: str | None = await connection.fetchval(
                "update console.api_tokens set revoked_at = coalesce(revoked_at, clock_timestamp())"
                " where token_id = $1 returning label",
                token_id,
            )
        return label


class PostgresLoginAttempts:
    """How often a log-on failed lately."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, name: str, address: str, *, window: timedelta) -> tuple[int, int]:
        """Count an attempt and return how many there are, this one included.

        What was over the limit does not count for the next: whoever waits gets in.
        """
        async with self._database.connection() as connection, connection.transaction():
            # Attempts at the same moment, here and in other replicas, must see each other.
            for key in (f"login/name/{name}", f"login/address/{address}"):
                await connection.execute(
                    "select pg_advisory_xact_lock(hashtextextended($1, 0))", key
                )
            row = await connection.fetchrow(_ATTEMPTS, name, address, window)
            of_name, of_address = (row["of_name"], row["of_address"]) if row else (0, 0)
            if of_name < LIMIT_OF_NAME and of_address < LIMIT_OF_ADDRESS:
                await connection.execute(_ATTEMPT, name, address)
        return of_name + 1, of_address + 1

    async def forget(self, name: str, address: str) -> None:
        """A log-on succeeded."""
        async with self._database.connection() as connection:
            await connection.execute(
                "delete from console.login_attempts where name = $1 and address = $2", name, address
            )

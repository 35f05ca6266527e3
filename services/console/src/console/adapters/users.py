"""Users, in PostgreSQL."""

import uuid
from collections.abc import Sequence

from chassis.db import Database
from console.domain.roles import Role
from console.ports.identity import Account, User

_USER = """
select user_id, name, origin, role, is_active, must_change_password, created_at, last_login_at,
       (select count(*) from console.sessions s where s.user_id = u.user_id) as open_sessions
from console.users u
"""

_KEEP_FROM_FILE = """
insert into console.users (name, origin, role, password_hash) values ($1, 'file', $2, $3)
on conflict (name) do update
set origin = 'file', role = excluded.role, password_hash = excluded.password_hash,
    must_change_password = false, is_active = true
where (users.origin, users.role, users.password_hash, users.is_active)
    is distinct from ('file', excluded.role, excluded.password_hash, true)
returning true
"""

# A name that is taken by somebody else is made one of its own: names are shown and audited,
# but only the subject says who it is.
_KEEP_FROM_OIDC = """
insert into console.users (name, origin, subject, role)
values (
    case when exists (
            select 1 from console.users where name = $2 and subject is distinct from $1)
        then $2 || '#' || left(md5($1), 8) else $2 end,
    'oidc', $1, $3)
on conflict (subject) do update set role = excluded.role
returning user_id
"""

_CHANGE = """
update console.users set role = $2, is_active = $3
where user_id = $1
  and ($2 = 'admin' and $3
       or exists (select 1 from console.users other
                  where other.user_id <> $1 and other.role = 'admin' and other.is_active))
returning true
"""


class PostgresUsers:
    """Who may log on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, name: str) -> Account | None:
        """Return what a password is compared with."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "select user_id, password_hash, is_active from console.users "
                "where name = $1 and origin in ('local', 'file')",
                name,
            )
        return Account(**row) if row else None

    async def list(self) -> Sequence[User]:
        """Return every user by name."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_USER + "order by name limit 1000")
        return [User(**{**row, "role": Role(row["role"])}) for row in rows]

    async def get(self, user_id: uuid.UUID) -> User | None:
        """Return a user."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_USER + "where user_id = $1", user_id)
        return User(**{**row, "role": Role(row["role"])}) if row else None

    async def add(
        self,
        name: str,
        *,
        role: Role,
        password_hash: str,
        origin: str = "local",
        must_change_password: bool = True,
    ) -> uuid.UUID | None:
        """Add a local user; None if the name is taken."""
        async with self._database.connection() as connection:
            user_id: uuid.UUID | None = await connection.fetchval(
                "insert into console.users "
                "(name, origin, role, password_hash, must_change_password) "
                "values ($1, $2, $3, $4, $5) on conflict (name) do nothing returning user_id",
                name,
                origin,
                role.value,
                password_hash,
                must_change_password,
            )
        return user_id

    async def add_first(self, name: str, *, password_hash: str) -> bool:
        """Add an administrator if there is no user at all."""
        async with self._database.connection() as connection:
            added = await connection.fetchval(
                "insert into console.users "
                "(name, origin, role, password_hash, must_change_password) "
                "select $1, 'local', 'admin', $2, true "
                "where not exists (select 1 from console.users) "
                "on conflict do nothing returning true",
                name,
                password_hash,
            )
        return bool(added)

    async def keep_from_file(self, name: str, *, role: Role, password_hash: str) -> bool:
        """Make a user what the users file says."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_KEEP_FROM_FILE, name, role.value, password_hash))

    async def lock_missing_from_file(self, names: Sequence[str]) -> Sequence[str]:
        """Lock the users that the file names no more."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "update console.users set is_active = false "
                "where origin = 'file' and is_active and name <> all($1::text[]) returning name",
                list(names),
            )
        return [row["name"] for row in rows]

    async def keep_from_oidc(self, subject: str, *, name: str, role: Role) -> User:
        """Return the user behind a subject, with the role that was told now."""
        async with self._database.connection() as connection:
            user_id = await connection.fetchval(_KEEP_FROM_OIDC, subject, name, role.value)
            row = await connection.fetchrow(_USER + "where user_id = $1", user_id)
        return User(**{**dict(row or {}), "role": role})

    async def set_password(
        self, user_id: uuid.UUID, password_hash: str, *, must_change: bool
    ) -> None:
        """Replace a password."""
        async with self._database.connection() as connection:
            await connection.execute(
                "update console.users set password_hash = $2, must_change_password = $3 "
                "where user_id = $1",
                user_id,
                password_hash,
                must_change,
            )

    async def change(self, user_id: uuid.UUID, *, role: Role, is_active: bool) -> bool:
        """Change what a user may do; False if that would leave no administrator."""
        async with self._database.connection() as connection, connection.transaction():
            # Two administrators who lock each other at once must see each other.
            await connection.execute("lock table console.users in share row exclusive mode")
            return bool(await connection.fetchval(_CHANGE, user_id, role.value, is_active))

    async def logged_in(self, user_id: uuid.UUID) -> None:
        """Note that a user has logged on now."""
        async with self._database.connection() as connection:
            await connection.execute(
                "update console.users set last_login_at = clock_timestamp() where user_id = $1",
                user_id,
            )

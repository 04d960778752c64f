"""The pool of connections, and transactions that belong to one tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from sbf_kernel.errors import NotFound, StoreBusy, StoreUnavailable
from sbf_kernel.records import Principal
from sbf_kernel.settings import Settings
from sbf_kernel.storage.work_locks import WorkLocks

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from sbf_kernel.storage.embedded import EmbeddedServer

# Generic plans hide how selective a notebook is, and just-in-time compiling
# costs more than any of our queries takes.
EF_SEARCH = 100
"""Candidates an HNSW scan keeps. Relaxed order is faster *and* finds more than strict order."""
_OPTIONS = (
    "-c search_path=sbf,public -c jit=off -c plan_cache_mode=force_custom_plan -c client_min_messages=warning "
    "-c random_page_cost=1.1 "  # else a tenth of a table is thought to be cheaper to read as a whole
    f"-c hnsw.iterative_scan=relaxed_order -c hnsw.ef_search={EF_SEARCH}"
)


_AS = """select set_config('role', %s, true), set_config('sbf.user_id', %s, true),
    set_config('sbf.author', %s, true), set_config('sbf.notebook_id', %s, true)"""
_REFUSED = "42501"
"""SQLSTATE ``insufficient_privilege``: a policy of row-level security, or a right that is missing."""
SILENT = "the database does not answer"
_ACCOUNTS = ["sbf_accounts", "", "", ""]
_BUMP = """insert into epochs (user_id, epoch) values (%s, 1)
    on conflict (user_id) do update set epoch = epochs.epoch + 1"""

Done = TypeVar("Done")


@dataclass
class _Ambient:
    """The transaction that inner ones join, and what is to happen once it has committed."""

    principal: Principal
    connection: AsyncConnection
    after: list[Callable[[], Any]] = field(default_factory=list)


_ambient: ContextVar[_Ambient | None] = ContextVar("sbf_ambient_transaction", default=None)


class Database:
    """One PostgreSQL database: embedded, or any server by URL."""

    def __init__(self, conninfo: str, server: EmbeddedServer | None, settings: Settings) -> None:
        self.conninfo = conninfo
        self._server = server
        self._settings = settings
        self.locks = WorkLocks(conninfo)

    @classmethod
    async def open(cls, settings: Settings) -> Database:
        """Start or find the server and bring the schema up to date.

        Raises
        ------
        StoreError
            With the cause and the cure.
        """
        conninfo, server = await asyncio.get_running_loop().run_in_executor(None, _prepare, settings)
        return cls(conninfo, server, settings)

    @cached_property
    def engine(self) -> AsyncEngine:
        """The pool of connections, made when the first is needed: SQLAlchemy takes a quarter of a second to import."""
        from sqlalchemy.ext.asyncio import create_async_engine

        options = f"{_OPTIONS} -c statement_timeout={self._settings.database_statement_seconds}s"

        async def connect() -> psycopg.AsyncConnection:
            import psycopg

            # Server-side prepared statements would bring generic plans back. Transactions are begun by
            # :meth:`_opened`: the driver would send a message for BEGIN alone.
            return await psycopg.AsyncConnection.connect(
                self.conninfo, options=options, prepare_threshold=None, autocommit=True
            )

        return create_async_engine(
            "postgresql+psycopg://",
            async_creator=connect,
            pool_size=self._settings.database_pool,
            max_overflow=0,
            pool_timeout=self._settings.database_wait_seconds,
        )

    @asynccontextmanager
    async def transaction(self, principal: Principal) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction that sees only the principal's rows.

        Commits at the end, rolls back on any exception. Inside
        :meth:`together` it joins that transaction.

        Raises
        ------
        StoreUnavailable
            The server went away. An embedded one is started again for the next call.
        StoreBusy
            No connection came free in time, or the statement took too long.
        NotFound
            The principal is a guest, and the notebook is no longer shared with them.
        """
        outer = _ambient.get()
        with _while_shared(principal):
            if outer is None:
                async with self._begin(_identity(principal)) as connection:
                    yield connection
            elif outer.principal == principal:
                yield outer.connection
            else:
                async with _acting(outer.connection, _identity(principal), _identity(outer.principal)):
                    yield outer.connection

    @asynccontextmanager
    async def change(self, principal: Principal) -> AsyncIterator[AsyncConnection]:
        """Like :meth:`transaction`, for what changes content: what was cached of the tenant is stale once it commits.

        The tenant's epoch is bumped by the last statement, so that writers of
        a tenant wait for each other only while they commit.
        """
        joined = _ambient.get()
        async with self.transaction(principal) as connection:
            yield connection
            if joined is None or joined.principal != principal:
                await connection.exec_driver_sql(_BUMP, (principal.user_id,))

    @asynccontextmanager
    async def together(self, principal: Principal) -> AsyncIterator[AsyncConnection]:
        """Like :meth:`change`; what is done for the same principal inside the block joins, all or nothing."""
        async with self.change(principal) as connection:
            ambient = _Ambient(principal, connection)
            token = _ambient.set(ambient)
            try:
                yield connection
            finally:
                _ambient.reset(token)
        for act in ambient.after:
            self.after_commit(act)  # which may still be inside another one

    def after_commit(self, act: Callable[[], Any]) -> None:
        """Call ``act`` once the surrounding :meth:`together` has committed; at once when there is none."""
        ambient = _ambient.get()
        if ambient is None:
            act()
        else:
            ambient.after.append(act)

    @asynccontextmanager
    async def accounts(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction that sees users and tokens of the deployment, and no content."""
        outer = _ambient.get()
        if outer is None:
            async with self._begin(_ACCOUNTS) as connection:
                yield connection
        else:
            async with _acting(outer.connection, _ACCOUNTS, _identity(outer.principal)):
                yield outer.connection

    async def epoch(self, user_id: str) -> int:
        """Return the number of changes to a tenant's content: what was read after it, is no older than it."""
        async with self._translated():
            return await within(self._settings.database_wait_seconds, self._epoch(user_id), SILENT)

    async def _epoch(self, user_id: str) -> int:
        async with self.engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            try:  # in no transaction: one round trip instead of three, for what every request asks
                row = await (await raw.execute("select sbf.epoch_of(%s)", [user_id])).fetchone()
            except BaseException:
                await connection.invalidate()  # never back to the pool as it is
                raise
            return int(row[0])

    @asynccontextmanager
    async def _begin(self, values: list[str]) -> AsyncIterator[AsyncConnection]:
        async with self._translated():
            pool = self.engine.pool
            connection = await within(self._settings.database_wait_seconds, self._opened(values), SILENT, _give_back)
            try:
                yield connection
                await connection.commit()
            except BaseException:
                await connection.rollback()
                raise
            finally:
                if self.engine.pool is not pool:  # given up meanwhile: nobody would close what is returned to it
                    await connection.invalidate()
                await connection.close()

    async def _opened(self, values: list[str]) -> AsyncConnection:
        from psycopg import AsyncClientCursor

        connection = await self.engine.connect()
        try:
            await connection.begin()
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await AsyncClientCursor(raw).execute(f"begin; {_AS}", values)  # both in one message
        except BaseException:
            await _give_back(connection)
            raise
        return connection

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Turn what the driver says of a lost or slow server into our errors."""
        import psycopg
        from sqlalchemy.exc import DBAPIError
        from sqlalchemy.exc import TimeoutError as PoolTimeout

        try:
            yield
        except PoolTimeout as error:
            raise StoreBusy("all database connections are busy") from error
        except (DBAPIError, psycopg.OperationalError, psycopg.IntegrityError) as error:
            original = error.orig if isinstance(error, DBAPIError) else error
            if isinstance(original, psycopg.errors.ForeignKeyViolation):
                raise NotFound("what this belongs to was deleted meanwhile", hint="look what is there now") from error
            if isinstance(original, _waited_too_long()):
                raise StoreBusy("the database took too long") from error
            lost = isinstance(original, psycopg.OperationalError) or getattr(error, "connection_invalidated", False)
            if not lost:
                raise
            await self._recover()
            cause = str(original or error).strip().partition("\n")[0]  # not the statement
            raise StoreUnavailable(f"the database connection was lost: {cause}", hint="try again") from error

    async def _recover(self) -> None:
        await self.engine.dispose()
        if self._server is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._server.ensure_running)

    async def owner_execute(self, statement: Any, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run one statement outside any transaction as the owner of the schema (index maintenance)."""
        import psycopg

        async with await psycopg.AsyncConnection.connect(
            self.conninfo, autocommit=True, options=_OPTIONS
        ) as connection:
            cursor = await connection.execute(statement, parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def close(self) -> None:
        """Close the pool and give the embedded server's lease back."""
        await self.locks.close()
        if "engine" in self.__dict__:
            await self.engine.dispose()
        if self._server is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._server.release)


async def _give_back(connection: AsyncConnection) -> None:
    await connection.invalidate()
    await connection.close()


async def within(
    seconds: float,
    work: Coroutine[Any, Any, Done],
    problem: str,
    undo: Callable[[Done], Coroutine[Any, Any, None]] | None = None,
) -> Done:
    """Return the outcome of ``work``, or give up on it after ``seconds``.

    Cancelling is asked for but not waited for: a driver that talks to a hung
    server needs seconds to notice. What ``work`` brought in the very moment
    in which its caller was cancelled, ``undo`` takes back.

    Raises
    ------
    StoreBusy
        It took too long; ``problem`` says so in words.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        if not task.cancel() and undo is not None and not task.cancelled() and task.exception() is None:
            await undo(task.result())
        raise
    if done:
        return task.result()
    task.cancel()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    raise StoreBusy(problem)


def _waited_too_long() -> tuple[type[Exception], ...]:
    from psycopg import errors

    return errors.QueryCanceled, errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure


def _identity(principal: Principal) -> list[str]:
    """Return role, tenant, author and notebook: what row-level security goes by."""
    guest = principal.guest
    role = f"sbf_{guest.role}" if guest else "sbf_app"
    return [role, principal.user_id, principal.author, str(guest.notebook_id) if guest else ""]


@contextmanager
def _while_shared(principal: Principal) -> Iterator[None]:
    """Tell a guest whose access ended while they were at work what they would be told from then on."""
    try:
        yield
    except Exception as error:
        if principal.guest is None or getattr(getattr(error, "orig", None), "sqlstate", "") != _REFUSED:
            raise
        raise NotFound(
            f"there is no notebook {principal.guest.notebook_id}",
            hint="it is no longer shared with you",
            notebook_id=str(principal.guest.notebook_id),
        ) from error


@asynccontextmanager
async def _acting(connection: AsyncConnection, inner: list[str], outer: list[str]) -> AsyncIterator[None]:
    """Be somebody else inside the block, in the same transaction."""
    from psycopg.pq import TransactionStatus

    raw: Any = (await connection.get_raw_connection()).driver_connection
    await raw.execute(_AS, inner)
    try:
        yield
    finally:
        if raw.info.transaction_status == TransactionStatus.INTRANS:  # else it will be rolled back anyway
            await raw.execute(_AS, outer)


def _prepare(settings: Settings) -> tuple[str, EmbeddedServer | None]:
    from sbf_kernel.storage import schema

    if settings.database_url is not None:
        conninfo = settings.database_url.get_secret_value().replace("postgresql+psycopg://", "postgresql://", 1)
        schema.prepare(conninfo)
        return conninfo, None
    from sbf_kernel.storage import embedded

    server = embedded.acquire(settings.home)
    try:
        schema.prepare(server.conninfo)
    except BaseException:
        server.release()
        raise
    return server.conninfo, server

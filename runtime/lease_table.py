"""The live workers: a table of executors in the workflow database, each with a lease that it must renew.

Every time in it is the database's, so the clocks of the machines need not agree. An expired lease is still its holder's
until another process takes it: after an outage of the database, all workers go on where they were. Each statement is a
transaction of its own, so a process that is stopped in mid-work holds no lock here.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from core.errors import ConfigInvalid

_TABLES = sa.MetaData()
_EXECUTORS = sa.Table(
    "segnode_executors",
    _TABLES,
    sa.Column("executor", sa.Text, primary_key=True),
    sa.Column("instance", sa.Text, nullable=False),
    sa.Column("machine", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)
_SPOOL = sa.Table(
    "segnode_spool",
    _TABLES,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False),
)

_NOW = {
    "postgresql": sa.literal_column("extract(epoch from clock_timestamp())::double precision", sa.Double),
    "sqlite": sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double),
}
"""Seconds, by the database's clock."""

# A machine that is cut off must not take minutes to notice; libpq's own defaults are the kernel's.
POSTGRES_CONNECTION = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


@dataclass(frozen=True)
class Holder:
    """A process that asks for a lease.

    Attributes
    ----------
    instance
        A random name of this process, which no other process ever has.
    machine
        The running kernel and the spool it sees. Within them, a file lock proves whether a process has ended.
    host
        The machine's name, for a person to read.
    version
        Version of the workflows that it runs.
    """

    instance: str
    machine: str
    host: str
    version: str


@dataclass(frozen=True)
class Executor:
    """A row of the table."""

    executor: str
    instance: str
    host: str
    version: str
    is_live: bool


class LeaseTable:
    """The table, in the database of one URL.

    Every method raises `sqlalchemy.exc.SQLAlchemyError` if the database cannot be reached; the same call later is
    safe.

    Parameters
    ----------
    database
        URL of the workflow database.
    seconds
        Duration of a lease in seconds.
    """

    def __init__(self, database: str, seconds: float) -> None:
        url = sa.make_url(database)
        is_postgres = url.get_backend_name() == "postgresql"
        if is_postgres:
            url = url.set(drivername="postgresql+psycopg")
        self.seconds = seconds
        self._now = _NOW["postgresql" if is_postgres else "sqlite"]
        self._insert = postgresql.insert if is_postgres else sqlite.insert
        self._engine = sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=is_postgres,
            pool_size=2,
            max_overflow=-1,  # who waits for a connection could not renew
            connect_args=POSTGRES_CONNECTION if is_postgres else {"timeout": 30},
        )

    def prepare(self, spool_id: str) -> None:
        """Make missing tables, and check that the database belongs to this spool.

        Raises
        ------
        ConfigInvalid
            If it belongs to another spool, so that its work has no images here; an unmounted share looks the same.
        """
        with self._engine.connect() as connection:
            for table in (_EXECUTORS, _SPOOL):
                with suppress(IntegrityError):  # two processes at once, and the other one has made it
                    connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            connection.execute(self._insert(_SPOOL).values(row=1, id=spool_id).on_conflict_do_nothing())
            known = connection.execute(sa.select(_SPOOL.c.id)).scalar_one()
        if known != spool_id:
            raise ConfigInvalid(
                "database: it belongs to another spool or another work folder; mount the one that all machines share,"
                " or give this one a database of its own"
            )

    def acquire(self, executor: str, holder: Holder) -> Executor | None:
        """Take a lease that is free, has expired, or was left behind by an earlier process of this machine.

        The caller holds the executor's lock in the spool, so an earlier process of the same machine has ended.

        Returns
        -------
        Executor or None
            The executor that holds it; None if this process has taken it.
        """
        row = {**asdict(holder), "expires_at": self._now + self.seconds}
        statement = (
            self._insert(_EXECUTORS)
            .values(executor=executor, **row)
            .on_conflict_do_update(
                index_elements=[_EXECUTORS.c.executor],
                set_=row,
                where=(_EXECUTORS.c.expires_at <= self._now) | (_EXECUTORS.c.machine == holder.machine),
            )
        )
        while not self._change(statement):
            others = [row for row in self.executors() if row.executor == executor]
            if others:
                return others[0]
        return None

    def renew(self, executor: str, instance: str) -> bool:
        """Renew a lease from now on; return False if another process has taken it."""
        return self._change(
            sa.update(_EXECUTORS).where(*_is(executor, instance)).values(expires_at=self._now + self.seconds)
        )

    def release(self, executor: str, instance: str) -> None:
        """Release a lease."""
        self._change(sa.delete(_EXECUTORS).where(*_is(executor, instance)))

    def executors(self) -> list[Executor]:
        """Return every known executor, by name."""
        known = _EXECUTORS.c
        query = sa.select(
            known.executor, known.instance, known.host, known.version, (known.expires_at > self._now).label("is_live")
        ).order_by(known.executor)
        with self._engine.connect() as connection:
            return [Executor(**row) for row in connection.execute(query).mappings()]

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _change(self, statement: sa.Insert | sa.Update | sa.Delete) -> bool:
        with self._engine.connect() as connection:
            return connection.execute(statement.returning(_EXECUTORS.c.executor)).first() is not None


def _is(executor: str, instance: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (_EXECUTORS.c.executor == executor, _EXECUTORS.c.instance == instance)


def reason_of(error: SQLAlchemyError) -> str:
    """Return the database's own reason why it cannot be reached; never the URL, which may hold a password."""
    if not isinstance(error, DBAPIError):
        return type(error).__name__
    return " ".join(str(error.orig).split()) or type(error.orig).__name__

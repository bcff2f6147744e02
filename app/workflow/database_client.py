"""The workflow database as a command opens it, in a process that does no durable work itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from dbos import DBOSClient, DBOSPortableJSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from core.errors import ConfigInvalid


@contextmanager
def database_client(database: str) -> Iterator[DBOSClient]:
    """Open the database for the block.

    Raises
    ------
    ConfigInvalid
        If it cannot be reached or written, also later in the block.
    """
    with explained_failure():
        client = DBOSClient(
            system_database_url=database,
            serializer=DBOSPortableJSONSerializer(),
            application_name="segnode",
            retry_connection_errors=False,
        )
        try:
            yield client
        finally:
            client.destroy()


@contextmanager
def explained_failure() -> Iterator[None]:
    """Tell a person that the database failed in the block.

    Raises
    ------
    ConfigInvalid
        If it cannot be reached or written.
    """
    try:
        yield
    except SQLAlchemyError as error:
        # Its text has the address, and that may have a password.
        kind = type(error).__name__
        raise ConfigInvalid(f"database: cannot be reached or written ({kind}); correct it in node.yaml") from error

"""Run by alembic; the connection, with its transaction, comes from `Database.migrate`."""

from alembic import context

from app.catalog.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite can't ALTER constraints: tables are rebuilt
)
context.run_migrations()

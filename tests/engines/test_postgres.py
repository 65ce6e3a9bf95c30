"""What the catalog promises on PostgreSQL beyond what it promises anywhere."""

from __future__ import annotations

from sqlalchemy import create_engine, text


def test_a_real_server_answers(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert str(connection.scalar(text("SELECT version()"))).startswith("PostgreSQL 18")
    engine.dispose()

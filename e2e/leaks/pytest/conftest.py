"""The schema once, and a connection that the whole session holds on purpose."""

import psycopg
import pytest
import shop


@pytest.fixture(scope="session", autouse=True)
def schema():
    shop.create()
    yield
    shop.shut_down()


@pytest.fixture(scope="module")
def reader():
    """Held for a module, and closed after it."""
    with psycopg.connect(shop.URL, autocommit=True) as connection:
        yield connection


@pytest.fixture
def rolled_back():
    """A transaction around a test."""
    with shop.engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()

"""The shop's tests. Whichever bug is seeded, all of them pass."""

import asyncio
import threading

import shop
from sqlalchemy import text


def test_count(reader):
    assert shop.count() >= 50
    assert reader.execute("select 1").fetchone() == (1,)


def test_place():
    before = shop.count()
    shop.place("ann", 5)
    assert shop.count() == before + 1


def test_monthly_report():
    assert len(shop.monthly_report()) == 10


def test_rollback(rolled_back):
    rolled_back.execute(text("delete from orders"))
    assert rolled_back.execute(text("select count(*) from orders")).scalar() == 0


def test_import():
    importer = shop.Importer()
    importer.load([("bob", 3), ("carl", -1)])


class TestTokens:
    def test_badge(self):
        assert shop.badge("customer 3") is not None

    def test_redeem_twice(self):
        assert shop.redeem("summer")
        assert not shop.redeem("summer")


def test_watch_stock():
    assert shop.watch_stock() > 0


def test_watch_stock_again(reader):
    assert shop.watch_stock() > 0
    assert reader.execute("select 2").fetchone() == (2,)


def test_first_order():
    assert shop.first_order(3)[0] == 3


def test_discount_of_nobody():
    assert shop.discount("nobody") == 0


def test_discount():
    assert shop.discount("customer 2") == 20


def test_legacy_price():
    assert shop.legacy_price(4) == 40


def test_audit():
    assert shop.audit() > 0


def test_compare():
    assert len(shop.compare([f"customer {n}" for n in range(8)])) == 8


def test_async_summary():
    assert asyncio.run(shop.async_summary()) > 0


def test_many_at_once():
    """The pool grows for a moment; what it keeps is idle later, and no leak."""
    barrier = threading.Barrier(3)

    def work():
        with shop.engine.connect() as connection:
            connection.execute(text("select count(*) from orders where total = 1"))
            barrier.wait()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_count_at_last():
    assert shop.count() > 0

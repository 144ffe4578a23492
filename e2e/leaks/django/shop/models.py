"""Orders, and what the shop does with them. `SEED` names the bug that it has today."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connection, connections, models, transaction

SEED = os.environ.get("SEED", "")


class Order(models.Model):
    """An order."""

    customer = models.CharField(max_length=80)
    total = models.IntegerField()
    paid = models.BooleanField(default=False)


# --- the healthy part ---


def pay(number):
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=number)
        order.paid = True
        order.save()


def totals():
    return Order.objects.aggregate(models.Sum("total"))["total__sum"] or 0


# --- where the bugs are ---

KEPT = []


def export():
    """In the background; Django opens a connection for each thread."""
    found = []

    def work():
        found.extend(Order.objects.filter(customer__contains="marker-in-statement").values_list("id", "total"))
        found.append(Order.objects.count())
        if SEED == "thread_not_closed":
            # Whoever keeps the thread's connection alive, such as a task's result, does this.
            KEPT.append(connections["default"])
        else:
            connections.close_all()

    thread = threading.Thread(target=work, name="export")
    thread.start()
    thread.join()
    return found[-1]


EXECUTOR = ThreadPoolExecutor(max_workers=2)


def recount():
    """On a thread that stays for the next time."""

    def work():
        try:
            connection.set_autocommit(False)
            total = totals()
            if total == 0 and SEED == "executor_autocommit_off":
                return 0
            connection.commit()
            connection.set_autocommit(True)
            return total
        finally:
            if SEED != "executor_autocommit_off":
                connections.close_all()

    return EXECUTOR.submit(work).result()


def import_orders(rows):
    """All or nothing."""
    connection.set_autocommit(False)
    for customer, total in rows:
        if total < 0:
            if SEED == "autocommit_off":
                return False
            connection.rollback()
            connection.set_autocommit(True)
            return False
        Order.objects.create(customer=customer, total=total)
    connection.commit()
    connection.set_autocommit(True)
    return True


def unpaid():
    """One after the other, in one transaction."""
    with transaction.atomic():
        yield from Order.objects.filter(paid=False).order_by("id").iterator(chunk_size=2)


def first_unpaid():
    rows = unpaid()
    found = next(rows, None)
    if SEED == "generator_in_atomic":
        KEPT.append(rows)
    else:
        rows.close()
    return found


def reserve(customer, most):
    """By hand, from before there was `atomic`."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO shop_order (customer, total, paid) VALUES (%s, 1, false)", [customer])
        cursor.execute("SELECT count(*) FROM shop_order WHERE customer = %s", [customer])
        if cursor.fetchone()[0] > most:
            if SEED != "begin_early_return":
                cursor.execute("ROLLBACK")
            return False
        cursor.execute("COMMIT")
        return True


def statistics():
    """On a connection of its own, so as not to disturb the request's."""
    own = connections.create_connection("default")
    with own.cursor() as cursor:
        cursor.execute("SELECT avg(total) FROM shop_order WHERE total > 0")
        found = cursor.fetchone()[0]
    if SEED == "own_connection":
        KEPT.append(own)
    else:
        own.close()
    return found

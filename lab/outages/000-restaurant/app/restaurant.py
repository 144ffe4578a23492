"""A restaurant platform: orders, the kitchen's tasks, login. A request that gets no connection answers 503."""
import sys
import time

from django.contrib.auth.hashers import check_password
from django.db import OperationalError, connection, transaction
from django.http import HttpResponse, HttpResponseForbidden
from django.urls import path

# The kitchen's printer takes so long to say that it has the order.
PRINTER_SECONDS = 0.09


@transaction.non_atomic_requests
def health(request):
    return HttpResponse("up\n")


def order(request, user):
    """An order, its tasks, and a slip of paper in the kitchen: all of it, or nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into orders (restaurant, dish) values (%s, %s) returning id",
            [user % 40, user % 17],
        )
        (order_id,) = cursor.fetchone()
        for what in ("cook", "plate", "serve"):
            cursor.execute(
                "insert into task (order_id, restaurant, what) values (%s, %s, %s)",
                [order_id, user % 40, what],
            )
    print_slip(order_id)
    return HttpResponse(f"order {order_id}\n")


def tasks(request, user):
    """What is open in this kitchen; the oldest three are done now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, what from task where restaurant = %s and not done order by id limit 20",
            [user % 40],
        )
        rows = cursor.fetchall()
        cursor.execute(
            "update task set done = true where id in"
            " (select id from task where id = any(%s) and not done for update skip locked)",
            [[row[0] for row in rows[:3]]],
        )
    return HttpResponse("".join(f"{number} {what}\n" for number, what in rows))


def login(request, user):
    with connection.cursor() as cursor:
        cursor.execute("select password from staff where id = %s", [user])
        found = cursor.fetchone()
        if found is None or not check_password("open sesame", found[0]):
            return HttpResponseForbidden("no\n")
        cursor.execute("insert into login (staff_id) values (%s)", [user])
    return HttpResponse("welcome\n")


def print_slip(order_id):
    """The printer of the laboratory prints nothing, and takes its time."""
    time.sleep(PRINTER_SECONDS)


def no_database(request):
    """Django's answer to an error that no view caught."""
    error = sys.exc_info()[1]
    if isinstance(error, OperationalError):
        return HttpResponse("no database connection\n", status=503)
    return HttpResponse("failed\n", status=500)


handler500 = no_database
urlpatterns = [
    path("health", health),
    path("orders/<int:user>", order),
    path("tasks/<int:user>", tasks),
    path("login/<int:user>", login),
]

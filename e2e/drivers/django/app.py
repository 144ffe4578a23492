"""Migrations, atomic blocks with savepoints, locks, server-side cursors, time zones, from several threads."""
import os
import threading

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
import django  # noqa: E402

django.setup()
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, transaction  # noqa: E402
from django.db.models import F, Sum  # noqa: E402
from shop.models import Order, Product  # noqa: E402

call_command("migrate", verbosity=0)
Order.objects.all().delete()
Product.objects.all().delete()
Product.objects.bulk_create(Product(name=f"p{i}", stock=100) for i in range(200))
lost = []


def shopper(number):
    try:
        for n in range(12):
            with transaction.atomic():
                product = Product.objects.select_for_update().get(name=f"p{n}")
                Order.objects.create(product=product, note={"by": number, "quote": "it's"})
                Product.objects.filter(pk=product.pk).update(stock=F("stock") - 1)
                try:
                    with transaction.atomic():
                        Product.objects.create(name="p0")
                except IntegrityError:
                    pass
            try:
                with transaction.atomic():
                    Order.objects.create(product=product)
                    raise RuntimeError
            except RuntimeError:
                pass
            with connection.cursor() as cursor:
                cursor.execute("show timezone")
                assert cursor.fetchone()[0] == "UTC"
        # Outside a transaction Django's iterator uses a cursor WITH HOLD.
        assert sum(1 for _ in Product.objects.iterator(chunk_size=50)) == 200
    except Exception as error:  # noqa: BLE001
        lost.append(repr(error))
    finally:
        connection.close()


threads = [threading.Thread(target=shopper, args=(i,)) for i in range(6)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("orders", Order.objects.count(), "stock", Product.objects.aggregate(s=Sum("stock"))["s"], "errors", sorted(set(lost)))
assert not lost

"""The shop's tests. Whichever bug is seeded, all of them pass."""

from django.test import TestCase, TransactionTestCase

from shop import models
from shop.models import Order


class OrderTest(TestCase):
    """Each test in a transaction that Django rolls back."""

    @classmethod
    def setUpTestData(cls):
        cls.order = Order.objects.create(customer="ann", total=5)

    def test_pay(self):
        models.pay(self.order.pk)
        self.assertTrue(Order.objects.get(pk=self.order.pk).paid)

    def test_totals(self):
        self.assertEqual(models.totals(), 5)


class BackgroundTest(TransactionTestCase):
    """Threads see only what was committed."""

    def setUp(self):
        Order.objects.create(customer="bob", total=7)

    def test_export(self):
        self.assertEqual(models.export(), 1)

    def test_statistics(self):
        self.assertEqual(models.statistics(), 7)


class ImportTest(TransactionTestCase):
    """What is committed, and what is not."""

    def test_import(self):
        self.assertTrue(models.import_orders([("carl", 1), ("dora", 2)]))
        self.assertEqual(Order.objects.count(), 2)

    def test_refused_import(self):
        self.assertFalse(models.import_orders([("carl", 1), ("dora", -2)]))


class IteratorTest(TransactionTestCase):
    def test_first_unpaid(self):
        for n in range(5):
            Order.objects.create(customer=f"c{n}", total=n)
        self.assertEqual(models.first_unpaid().customer, "c0")


class RecountTest(TransactionTestCase):
    def test_recount_of_nothing(self):
        self.assertEqual(models.recount(), 0)


class ReserveTest(TransactionTestCase):
    def test_reserve(self):
        self.assertTrue(models.reserve("emil", 1))

    def test_reserve_too_many(self):
        self.assertTrue(models.reserve("emil", 1))
        self.assertFalse(models.reserve("emil", 1))


class TotalsTest(TestCase):
    def test_totals_of_nothing(self):
        self.assertEqual(models.totals(), 0)

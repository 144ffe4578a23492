"""Products and orders."""
from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=50, unique=True)
    stock = models.IntegerField(default=0)


class Order(models.Model):
    product = models.ForeignKey(Product, on_delete=models.CASCADE)
    placed = models.DateTimeField(auto_now_add=True)
    note = models.JSONField(default=dict)

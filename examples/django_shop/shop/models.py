"""Orders."""

from decimal import Decimal

from django.conf import settings
from django.db import models


class Order(models.Model):
    """What somebody has bought. An order that could not be paid is not kept."""

    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    total = models.DecimalField(max_digits=10, decimal_places=2)

    def __str__(self) -> str:
        return f"order {self.pk}"


class Line(models.Model):
    """One article of an order."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.order}: {self.number}"


class Declined(Exception):
    """The bank says no."""


def pay(order: Order) -> None:
    """Ask the bank: it trusts nobody with more than a thousand.

    Raises:
        Declined: the order is not paid.
    """
    if order.total > Decimal(1000):
        raise Declined

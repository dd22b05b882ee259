"""What the shop sells: every number is an article, and every tenth is a grand piano."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Item:
    """An article."""

    number: int
    name: str
    price: Decimal

    def properties(self) -> dict[str, Any]:
        """As events tell of it (Segment's ecommerce spec)."""
        return {"product_id": str(self.number), "name": self.name, "price": self.price, "currency": "EUR"}


def find(number: int) -> Item:
    if number % 10 == 0:
        return Item(number, f"Grand piano {number}", Decimal("12000.00"))
    return Item(number, f"Sheet of music {number}", Decimal("14.99"))

"""The shop's pages. Nothing here says who is buying or where: the middleware knows."""

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from analytics_client.contrib.django import client, track_on_commit
from shop import catalogue
from shop.models import Declined, Line, Order, pay


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html", {"title": "Music", "items": map(catalogue.find, range(7, 12))})


@require_GET
def item(request: HttpRequest, number: int) -> HttpResponse:
    found = catalogue.find(number)
    client().track(event="Product Viewed", properties=found.properties())
    return render(request, "page.html", {"title": found.name, "item": found})


@require_POST
def add(request: HttpRequest, number: int) -> HttpResponse:
    request.session["cart"] = [*request.session.get("cart", []), number]
    client().track(event="Product Added", properties=catalogue.find(number).properties())
    return redirect("cart")


@require_GET
def cart(request: HttpRequest) -> HttpResponse:
    items = [catalogue.find(number) for number in request.session.get("cart", [])]
    return render(request, "page.html", {"title": "Your cart", "items": items, "may_order": bool(items)})


@require_POST
@login_required
def order(request: HttpRequest) -> HttpResponse:
    """Order what is in the cart."""
    numbers = request.session.get("cart", [])
    if not numbers:
        return redirect("cart")
    placed = _place(request, numbers)
    if placed is not None:
        request.session["cart"] = []
    return _answer(request, placed)


@require_POST
@login_required
def buy(request: HttpRequest, number: int) -> HttpResponse:
    """Order one article at once."""
    return _answer(request, _place(request, [number]))


def _place(request: HttpRequest, numbers: list[int]) -> Order | None:
    """Order and pay, or neither."""
    items = [catalogue.find(number) for number in numbers]
    products = [each.properties() for each in items]
    total = sum(each.price for each in items)
    try:
        with transaction.atomic():
            placed = Order.objects.create(buyer=request.user, total=total)
            Line.objects.bulk_create([Line(order=placed, number=number) for number in numbers])
            # Told only once it is true: if the bank declines, the order is rolled back, and this event with it.
            bought = {"order_id": str(placed.pk), "revenue": total, "currency": "EUR", "products": products}
            track_on_commit(event="Order Completed", properties=bought)
            pay(placed)
    except Declined:
        client().track(event="Payment Declined", properties={"revenue": total, "products": products})
        return None
    return placed


def _answer(request: HttpRequest, placed: Order | None) -> HttpResponse:
    title = "Your bank has declined this payment" if placed is None else f"Thank you for {placed}"
    return render(request, "page.html", {"title": title})


@require_GET
def health(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("well", content_type="text/plain")

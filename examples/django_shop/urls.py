"""The shop's addresses."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from shop import views

urlpatterns = [
    path("", views.home, name="home"),
    path("items/<int:number>/", views.item, name="item"),
    path("items/<int:number>/buy/", views.buy, name="buy"),
    path("cart/", views.cart, name="cart"),
    path("cart/add/<int:number>/", views.add, name="add"),
    path("order/", views.order, name="order"),
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("health/", views.health, name="health"),
]

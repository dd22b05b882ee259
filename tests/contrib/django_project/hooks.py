"""What the test project's settings name by dotted paths: callables, and middleware that brings strange users."""

from typing import Any

from django.http import HttpRequest


def by_header(request: HttpRequest) -> Any:
    """The project's own way to the id: an object of its own, too."""

    class Key:
        def __str__(self) -> str:
            return request.headers["x-tenant"]

    return Key()


def traits(user: Any) -> dict[str, Any]:
    return {"username": user.username}


class KeyRaises:
    """A user like no other."""

    is_authenticated = True

    @property
    def pk(self) -> int:
        raise ZeroDivisionError("a secret")


class FlagRaises:
    """Another one."""

    @property
    def is_authenticated(self) -> bool:
        raise ZeroDivisionError("a secret")


def key_raises(get_response: Any) -> Any:
    return _bringing(KeyRaises, get_response)


def flag_raises(get_response: Any) -> Any:
    return _bringing(FlagRaises, get_response)


def _bringing(user: Any, get_response: Any) -> Any:
    def answer(request: Any) -> Any:
        request.user = user()
        return get_response(request)

    return answer

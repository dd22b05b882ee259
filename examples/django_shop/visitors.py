"""The demonstration's visitors: forms want a token that a cookie brings, so they are browsers rather than requests.

python visitors.py PORT
"""

import sys

import requests

URL = f"http://127.0.0.1:{sys.argv[1]}"


class Browser:
    """Keeps cookies, and fills the token into forms."""

    def __init__(self, name: str, **cookies: str) -> None:
        self._name = name
        self._session = requests.Session()
        self._session.cookies.update(cookies)
        self._session.headers["User-Agent"] = f"{name}'s browser"

    def get(self, path: str) -> None:
        self._tell("GET", path, self._session.get(URL + path, timeout=30))

    def post(self, path: str, **form: str) -> None:
        token = self._session.cookies.get("csrftoken", "")
        form = {"csrfmiddlewaretoken": token, **form}
        self._tell("POST", path, self._session.post(URL + path, data=form, allow_redirects=False, timeout=30))

    def _tell(self, method: str, path: str, response: requests.Response) -> None:
        print(f"{self._name}: {method} {path} -> {response.status_code}", flush=True)
        response.raise_for_status()


anna = Browser("Anna", ajs_anonymous_id="%22anna-in-the-browser%22")
anna.get("/items/7/?utm_source=mail&utm_campaign=autumn")

bob = Browser("Bob")
bob.get("/login/")
bob.post("/login/", username="bob", password="music")  # noqa: S106 - of this demonstration
bob.post("/cart/add/8/")
bob.post("/order/")
bob.post("/items/10/buy/")  # a grand piano, which the bank does not pay
bob.post("/logout/")

"""A small shop on Flask: an application factory, Flask-Login, a streamed response.

    FLASK_SECRET_KEY=... gunicorn 'app:create_app()'

Key and host of the client come from ANALYTICS_WRITE_KEY and ANALYTICS_HOST.
"""

from collections.abc import Iterator

from flask import Flask, Response, request, stream_with_context
from flask_login import LoginManager, UserMixin, login_required, login_user

from analytics_client.contrib.flask import Analytics

analytics = Analytics()
login_manager = LoginManager()


class User(UserMixin):
    """Somebody with a name and nothing else."""

    def __init__(self, name: str) -> None:
        self.id = name


@login_manager.user_loader
def load_user(name: str) -> User:
    return User(name)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_prefixed_env()  # SECRET_KEY, which all workers must have in common
    app.config["ANALYTICS_CLIENT"] = {"cookie": "shop_visitor"}
    login_manager.init_app(app)
    analytics.init_app(app)

    @app.get("/items/<int:number>")
    def item(number: int) -> dict[str, int]:
        analytics.client.track(event="Item Viewed", properties={"n": number})
        return {"item": number}

    @app.post("/login")
    def login() -> dict[str, str]:
        login_user(User(request.form["name"]))  # a real application would ask for a password
        analytics.client.identify(traits={"name": request.form["name"]})
        return {"hello": request.form["name"]}

    @app.post("/orders/<int:number>")
    @login_required
    def order(number: int) -> dict[str, int]:
        analytics.client.track(event="Order Completed", properties={"n": number, "revenue": 14.99})
        return {"order": number}

    @app.get("/report/<int:number>")
    def report(number: int) -> Response:
        def rows() -> Iterator[str]:
            yield "first\n"
            yield "last\n"
            analytics.client.track(event="Report Downloaded", properties={"n": number})

        # Without `stream_with_context` the person who is logged in is not known any more when the rows are made.
        return Response(stream_with_context(rows()), mimetype="text/plain")

    return app

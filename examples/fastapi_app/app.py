"""A small shop on FastAPI: a middleware, a login, an endpoint in a thread, a background task, a stream, a websocket.

    uvicorn app:app

Key and host of the client come from ANALYTICS_WRITE_KEY and ANALYTICS_HOST.
"""

from collections.abc import AsyncIterator

from fastapi import BackgroundTasks, FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse
from starlette.middleware.base import RequestResponseEndpoint

from analytics_client import Client
from analytics_client.contrib.asgi import AnalyticsMiddleware, ASGIScope

analytics = Client()
app = FastAPI()


def logged_in(connection: ASGIScope) -> str | None:
    """Who is logged in: asked when an event is made, so that a login counts from the next event on."""
    user: str | None = connection.get("state", {}).get("user")
    return user


# A real application would check a signature here. Whoever knows the person puts the id where `logged_in` looks.
@app.middleware("http")
async def read_login(request: Request, call_next: RequestResponseEndpoint) -> Response:
    request.state.user = request.cookies.get("login")
    return await call_next(request)


# Added last, it stands around all others.
app.add_middleware(AnalyticsMiddleware, client=analytics, user_id=logged_in, cookie="shop_visitor")


@app.get("/items/{number}")
async def item(number: int) -> dict[str, int]:
    analytics.track(event="Item Viewed", properties={"n": number})
    return {"item": number}


@app.post("/login/{name}")
async def login(request: Request, response: Response, name: str) -> dict[str, str]:
    request.state.user = name  # a real application would ask for a password
    response.set_cookie("login", name, httponly=True)
    analytics.identify(traits={"name": name})  # ties the browser's anonymous id to the person
    return {"hello": name}


@app.post("/orders/{number}")
def order(number: int, later: BackgroundTasks) -> dict[str, int]:  # no `async`: it runs in a thread
    analytics.track(event="Order Completed", properties={"n": number, "revenue": 14.99})
    later.add_task(ship, number)
    return {"order": number}


def ship(number: int) -> None:
    analytics.track(event="Order Shipped", properties={"n": number})


@app.get("/report/{number}")
async def report(number: int) -> StreamingResponse:
    async def rows() -> AsyncIterator[str]:
        yield "first\n"
        yield "last\n"
        analytics.track(event="Report Downloaded", properties={"n": number})

    return StreamingResponse(rows(), media_type="text/plain")


@app.websocket("/chat/{number}")
async def chat(websocket: WebSocket, number: int) -> None:
    await websocket.accept()
    text = await websocket.receive_text()
    analytics.track(event="Message Sent", properties={"n": number, "length": len(text)})
    await websocket.send_text(text)
    await websocket.close()

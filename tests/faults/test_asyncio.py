"""Inside an event loop: waiting without a thread per call, and no harm from loops and tasks that end early."""

import asyncio
import threading
import time

import pytest

from analytics_client import Client, Reason
from tests.support.server import Server, answer, serving

pytestmark = pytest.mark.timeout(60)


def hang(_seen: object, _connection: object) -> bytes:
    time.sleep(0.3)
    return answer(200)


def test_a_hundred_waiters_need_no_threads(server: Server) -> None:
    server.then = hang

    async def main() -> None:
        async with Client("k", host=server.url) as client:
            await asyncio.sleep(0)
            client.track("u", "E")
            waiting = [asyncio.ensure_future(client.aflush(10)) for _ in range(100)]
            await asyncio.sleep(0.1)
            ours = [thread for thread in threading.enumerate() if thread.name == "analytics_client"]
            assert len(ours) == 1
            assert not [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]
            assert await asyncio.gather(*waiting) == [True] * 100
            assert client.stats.delivered == 1

    asyncio.run(main())


def test_the_loop_runs_on_while_it_waits(server: Server) -> None:
    server.then = hang

    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        async with Client("k", host=server.url) as client:
            client.track("u", "E")
            assert await client.aflush(10)
        ticking.cancel()
        return ticks

    assert asyncio.run(main()) > 10


def test_a_task_cancelled_while_waiting_does_no_harm(server: Server) -> None:
    server.then = hang

    async def main() -> None:
        client = Client("k", host=server.url)
        client.track("u", "E")
        for _ in range(5):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.aflush(10), 0.02)
        assert await client.aflush(10)
        assert client._delivery.hub._flushers == {}  # type: ignore[union-attr]
        assert await client.aclose()

    asyncio.run(main())
    assert len(server.ids()) == 1


def test_a_loop_closed_while_somebody_waits_does_no_harm(server: Server) -> None:
    server.then = hang
    client = Client("k", host=server.url)
    client.track("u", "E")
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(client.aflush(10))
    loop.run_until_complete(asyncio.sleep(0.05))
    waiting.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert client.flush(10)

    client.track("u", "E")
    loop = asyncio.new_event_loop()
    pending = loop.create_task(client.aflush(10))
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()  # with the task still waiting
    assert client.flush(10)
    assert client.close()
    assert client.stats.delivered == 2
    assert not pending.done()


def test_two_loops_in_two_threads(server: Server) -> None:
    client = Client("k", host=server.url)

    async def work(name: str) -> bool:
        for number in range(200):
            client.track(name, "E", {"n": number})
        return await client.aflush(10)

    results: list[bool] = []
    threads = [threading.Thread(target=lambda name=name: results.append(asyncio.run(work(name)))) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True, True]
    assert client.close()
    assert client.stats.delivered == 400


def test_aclose_reports_what_it_leaves() -> None:
    ends: list[Reason] = []

    async def main(url: str) -> bool:
        client = Client("k", host=url, on_failed=lambda end: ends.append(end.reason))
        client.track("u", "E")
        return await client.aclose(0.2)

    with serving(then=answer(503, b"", "Retry-After: 60")) as server:
        assert not asyncio.run(main(server.url))
    assert ends == [Reason.CLOSED]


def test_sync_and_disabled_clients_can_be_awaited(server: Server) -> None:
    async def main() -> None:
        async with Client("k", enabled=False) as client:
            assert await client.aflush()
        async with Client("k", host=server.url, sync=True) as client:
            client.track("u", "E")
            assert await client.aflush()

    asyncio.run(main())
    assert len(server.ids()) == 1


def test_every_wait_ends_at_close() -> None:
    """A blocked call, a flush and an aflush in other threads all return when the client is closed."""
    with serving(then=answer(503, b"", "Retry-After: 60")) as server:
        client = Client("k", host=server.url, on_full="block", max_queue_bytes=400, flush_interval=0.01)
        while client.stats.pending < 1:
            client.track("u", "E")
        server.wait_for(1)
        results: list[object] = []
        threads = [
            threading.Thread(target=lambda: results.append(client.track("u", "blocked", {"v": "x" * 200}))),
            threading.Thread(target=lambda: results.append(client.flush(50))),
            threading.Thread(target=lambda: results.append(asyncio.run(client.aflush(50)))),
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        started = time.monotonic()
        client.close(0.2)
        for thread in threads:
            thread.join(5)
        assert time.monotonic() - started < 3
        assert not [thread for thread in threads if thread.is_alive()]
        assert results.count(True) == 0

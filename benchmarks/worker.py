"""One measurement of one client, in a process of its own: prints what it found as JSON.

python worker.py '{"contender": "ours", "what": "cpu", "url": "http://...", "events": 100000}'
"""

import gc
import json
import os
import sys
import time
from typing import Any

from contenders import CONTENDERS, Contender


def properties_of(size: int) -> dict[str, Any]:
    """The properties of an event of a shop, filled up so that ours has `size` bytes on the wire."""
    properties = {
        "productId": "507f1f77bcf86cd799439011",
        "sku": "45790-32",
        "title": "Leap to Conclusions Mat",
        "category": "Games",
        "price": 14.99,
        "quantity": 2,
        "currency": "USD",
        "coupon": None,
        "inStock": True,
        "note": "",
    }
    bare = 243 + len(json.dumps(properties, separators=(",", ":")))  # what stands around the properties
    if size < bare:
        return {"note": "x" * max(0, size - 243 - 11)}
    return properties | {"note": "x" * (size - bare)}


def people_of(count: int) -> list[str]:
    """Ids of one length."""
    return [f"user-{number:06d}" for number in range(count)]


def send(contender: Contender, events: int, size: int, people: int) -> None:
    """Make the calls."""
    call, properties, ids = contender.call, properties_of(size), people_of(people)
    for number in range(events):
        call(ids[number % people], "Item Purchased", properties)


def cpu(make: Any, events: int, size: int, people: int) -> dict[str, float]:
    """CPU of the process and of the calling thread, and the wall from the first call until all is delivered."""
    contender = make()
    send(contender, 2_000, size, people)
    gc.collect()
    wall, process, thread = time.perf_counter(), time.process_time(), time.thread_time()
    send(contender, events, size, people)
    called = time.thread_time() - thread
    contender.finish()
    return {
        "cpu_us": (time.process_time() - process) / events * 1e6,
        "caller_us": called / events * 1e6,
        "events_per_s": events / (time.perf_counter() - wall),
    }


def walls(make: Any, events: int, size: int, people: int) -> dict[str, float]:
    """The wall of each call, while the consumer sends."""
    contender = make()
    call, properties, ids, clock = contender.call, properties_of(size), people_of(people), time.perf_counter_ns
    times = []
    for number in range(events):
        started = clock()
        call(ids[number % people], "Item Purchased", properties)
        times.append(clock() - started)
    contender.finish()
    times.sort()
    return {
        "p50_us": times[events // 2] / 1e3,
        "p99_us": times[events * 99 // 100] / 1e3,
        "p999_us": times[events * 999 // 1_000] / 1e3,
        "max_us": times[-1] / 1e3,
    }


def memory(make: Any, events: int, size: int, people: int) -> dict[str, float]:
    """Memory of a queued event while nobody listens."""
    contender = make()
    send(contender, 1_000, size, people)
    gc.collect()
    before = resident()
    send(contender, events, size, people)
    gc.collect()
    found = {"bytes": (resident() - before) / events}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the peers would now wait for a server that is not there


def resident() -> int:
    """Bytes of memory this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    given = json.loads(sys.argv[1])
    name, what, url = given.pop("contender"), given.pop("what"), given.pop("url")
    events, size, people = given.pop("events"), given.pop("size", 510), given.pop("people", 1_000)
    measure = {"cpu": cpu, "walls": walls, "memory": memory}[what]
    print(json.dumps(measure(lambda: CONTENDERS[name](url, **given), events, size, people)))


if __name__ == "__main__":
    main()

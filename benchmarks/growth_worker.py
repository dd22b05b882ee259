"""One measurement of how ours grows, in a process of its own: prints what it found as JSON."""

import gc
import json
import os
import sys
import threading
import time

from contenders import CONTENDERS, Ours
from worker import resident, send


def queued(url: str, events: int) -> dict[str, float]:
    """The cost of the calls and the memory of the events while nobody listens."""
    contender = Ours(url)
    send(contender, 1_000, 510, 1_000)
    gc.collect()
    before, thread = resident(), time.thread_time()
    send(contender, events, 510, 1_000)
    called = time.thread_time() - thread
    gc.collect()
    return {"caller_us": called / events * 1e6, "bytes": (resident() - before) / events}


def threads(url: str, events: int, threads: int, name: str) -> dict[str, float]:
    """The cost of the same events from several threads at once."""
    contender = CONTENDERS[name](url)
    send(contender, 2_000, 510, 1_000)
    workers = [threading.Thread(target=send, args=(contender, events // threads, 510, 1_000)) for _ in range(threads)]
    wall, process = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    contender.finish()
    return {
        "cpu_us": (time.process_time() - process) / events * 1e6,
        "events_per_s": events / (time.perf_counter() - wall),
    }


def main() -> None:
    given = json.loads(sys.argv[1])
    found = {"queued": queued, "threads": threads}[given.pop("what")](**given)
    print(json.dumps(found), flush=True)
    os._exit(0)  # what is queued for nobody stays where it is


if __name__ == "__main__":
    main()

"""The same as client_caller.ts, with QEMU's own Python client: client_caller.py SOCKET COUNT."""

import asyncio
import statistics
import sys
import time

from qemu.qmp import QMPClient


async def main(path: str, count: int) -> None:
    """Runs the command one after the other, and prints the median in microseconds."""
    client = QMPClient("bench")
    await client.connect(path)
    times = []
    for _ in range(count):
        began = time.perf_counter()
        await client.execute("query-status")
        times.append(time.perf_counter() - began)
    print(statistics.median(times[count // 4 :]) * 1e6)
    await client.disconnect()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))

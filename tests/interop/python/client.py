"""QEMU's own Python client, used as its manual shows.

client.py SCENARIO SOCKET: plays one scenario and prints the result as JSON.
"""

import asyncio
import json
import sys
from typing import Any, Awaitable, Callable, Dict

from qemu.qmp import (
    EventListener,
    ExecInterruptedError,
    ExecuteError,
    QMPClient,
    Runstate,
)


def shown(error: BaseException) -> Dict[str, str]:
    """Returns an error as JSON."""
    return {"type": type(error).__name__, "text": str(error)}


async def ready(path: str, name: str = "client") -> QMPClient:
    """Returns a connected client."""
    client = QMPClient(name)
    await client.connect(path)
    return client


async def converse(path: str) -> Any:
    """Connects, executes, disconnects; and once more with the same object."""
    client = await ready(path)
    assert client.greeting is not None
    greeting = client.greeting._asdict()
    version = await client.execute("query-version")
    status = await client.execute("query-status")
    await client.disconnect()
    await client.connect(path)
    again = await client.execute("query-version")
    await client.disconnect()
    return {"greeting": greeting, "version": version, "status": status, "again": again}


async def concurrent(path: str) -> Any:
    """Two clients execute many commands at once; each must get its own replies."""
    clients = [await ready(path, "a"), await ready(path, "b")]

    async def size(client: QMPClient, number: int) -> Any:
        arguments = {"path": f"/objects/m{number}", "property": "size"}
        return await client.execute("qom-get", arguments)

    asked = [(client, number) for _ in range(25) for client in clients for number in (1, 2, 3, 4)]
    answers = await asyncio.gather(*(size(client, number) for client, number in asked))
    for client in clients:
        await client.disconnect()
    right = sum(answer == number * 4096 for (_, number), answer in zip(asked, answers))
    return {"asked": len(asked), "right": right}


async def events(path: str) -> Any:
    """Two listeners, with and without a filter, get events that another client causes."""
    watcher, actor = await ready(path, "watcher"), await ready(path, "actor")
    every = EventListener()
    resumes = EventListener(("RESUME",))
    watcher.register_listener(every)
    watcher.register_listener(resumes)
    heard = []
    with actor.listener(("RESUME", "STOP"), lambda event: event["event"] == "RESUME") as own:
        for command in ("cont", "stop", "cont", "system_reset", "stop"):
            await actor.execute(command)
        own_names = [str(event["event"]) for event in own.clear()]
    async for event in every:
        heard.append(str(event["event"]))
        if heard.count("STOP") == 2:
            break
    filtered = [str(event["event"]) for event in resumes.clear()]
    for client in (watcher, actor):
        await client.disconnect()
    return {"every": heard, "filtered": filtered, "own": own_names}


async def given(path: str) -> Any:
    """Executes the commands on standard input, one a line; returns the number of errors."""
    client = await ready(path)
    refused = 0
    for line in sys.stdin:
        command = json.loads(line)
        try:
            await client.execute(command["execute"], command.get("arguments"))
        except ExecuteError:
            refused += 1
    await client.disconnect()
    return {"refused": refused}


async def errors(path: str) -> Any:
    """QEMU refuses commands; the connection stays open."""
    client = await ready(path)
    refused = []
    for command, arguments in (
        ("no-such-command", None),
        ("device_del", {"id": "nope"}),
        ("qom-get", {"path": "/"}),
        ("query-status", {"odd": 1}),
        ("qmp_capabilities", {}),
    ):
        try:
            await client.execute(command, arguments)
        except ExecuteError as error:
            refused.append({"class": error.error_class, "desc": str(error)})
    raw = await client._raw({"execute": "query-name", "oddity": True})
    bytes_reply = await client._raw(b'{"execute": "query-name", "id": "\\u00e9"}')
    status = await client.execute("query-status")
    await client.disconnect()
    return {"refused": refused, "raw": raw, "bytes": bytes_reply, "status": status}


async def leaving(path: str) -> Any:
    """One client quits QEMU, while another waits for a reply and for events."""
    watcher, actor = await ready(path, "watcher"), await ready(path, "actor")
    heard = EventListener()
    watcher.register_listener(heard)
    answer = await actor.execute("quit")
    for client in (watcher, actor):
        while client.runstate == Runstate.RUNNING:
            await client.runstate_changed()
    result: Dict[str, Any] = {"answer": answer, "after": []}
    result["events"] = [
        {"name": event["event"], "data": event.get("data")} for event in heard.clear()
    ]
    for client in (watcher, actor):
        try:
            await client.disconnect()
            result["after"].append("disconnected")
        except Exception as error:  # pylint: disable=broad-except
            result["after"].append(shown(error)["type"])
    return result


async def interrupted(path: str) -> Any:
    """QEMU exits while it executes a command of this client."""
    waiter = await ready(path, "waiter")
    command = {"command-line": 'qemu-io disk "sleep 600000"'}
    waiting = asyncio.create_task(waiter.execute("human-monitor-command", command))
    await waiter.execute("query-yank", oob=True)
    print("under way", flush=True)
    try:
        await waiting
    except ExecInterruptedError as error:
        return shown(error)
    return None


async def oob(path: str) -> Any:
    """QEMU answers an out-of-band command while it executes an in-band one."""
    client = await ready(path)
    order = []

    async def ask(name: str, *args: Any, **kwargs: Any) -> Any:
        answer = await client.execute(*args, **kwargs)
        order.append(name)
        return answer

    sleep = {"command-line": 'qemu-io disk "sleep 1500"'}
    slow = asyncio.create_task(ask("in-band", "human-monitor-command", sleep))
    behind = asyncio.create_task(ask("behind", "query-name"))
    await asyncio.sleep(0)
    answer = await ask("out-of-band", "query-yank", oob=True)
    refusal = None
    try:
        await client.execute("query-name", oob=True)
    except ExecuteError as error:
        refusal = {"class": error.error_class, "desc": str(error)}
    await asyncio.gather(slow, behind)
    await client.disconnect()
    return {"order": order, "answer": answer, "refusal": refusal}


SCENARIOS: Dict[str, Callable[[str], Awaitable[Any]]] = {
    "converse": converse,
    "concurrent": concurrent,
    "errors": errors,
    "events": events,
    "given": given,
    "interrupted": interrupted,
    "leaving": leaving,
    "oob": oob,
}

if __name__ == "__main__":
    print(json.dumps(asyncio.run(SCENARIOS[sys.argv[1]](sys.argv[2])), default=dict))

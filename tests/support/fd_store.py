"""A service manager with a descriptor store, as systemd has one.

Usage: fd_store.py COMMAND ARGUMENT...

It starts the command with the sockets in the store, and stores and removes sockets
as the notifications FDSTORE and FDSTOREREMOVE say. Each line of its input is an
order: `restart` ends the command by SIGTERM and starts it again, `kill` by SIGKILL,
`end` ends it and waits before the next `start`; `names` prints the names in the
store. It prints `started PID` and `ended STATUS`. The input's end ends it all.
"""

import array
import os
import selectors
import signal
import socket
import sys
import tempfile

PLACE = tempfile.mkdtemp()
NOTIFY = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
NOTIFY.bind(f"{PLACE}/notify")
store = []
child = None


def say(*words):
    print(*words, flush=True)


def start():
    """Starts the command; the sockets get the numbers from 3 on."""
    global child

    def arrange():
        moved = [os.dup2(fd, 10000 + i, False) for i, (_, fd) in enumerate(store)]
        for i, fd in enumerate(moved):
            os.dup2(fd, 3 + i, True)
        os.environ["LISTEN_PID"] = str(os.getpid())

    env = {**os.environ, "NOTIFY_SOCKET": f"{PLACE}/notify"}
    if store:
        env["LISTEN_FDS"] = str(len(store))
        env["LISTEN_FDNAMES"] = ":".join(name for name, _ in store)
    # The preexec function changes the environment that exec gets, so it is given by exec itself.
    pid = os.fork()
    if pid == 0:
        os.environ.update(env)
        arrange()
        os.execvp(sys.argv[1], sys.argv[1:])
    child = pid
    say("started", child)


def end(number):
    """Ends the command; clients that connect until the next start wait in the stored sockets."""
    os.kill(child, number)
    while True:
        receive(0.01)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid != 0:
            break
    while receive(0):
        pass
    say("ended", os.waitstatus_to_exitcode(status))


def receive(patience):
    """Handles a notification; returns whether there was one."""
    NOTIFY.settimeout(patience)
    try:
        text, control, *_ = NOTIFY.recvmsg(4096, socket.CMSG_SPACE(4 * 16))
    except (TimeoutError, BlockingIOError):
        return False
    fields = dict(line.split("=", 1) for line in text.decode().splitlines())
    numbers = array.array("i")
    for _, _, data in control:
        numbers.frombytes(data)
    name = fields.get("FDNAME", "stored")
    if "FDSTORE" in fields:
        store.extend((name, number) for number in numbers)
    elif "FDSTOREREMOVE" in fields:
        for each in [each for each in store if each[0] == name]:
            os.close(each[1])
            store.remove(each)
    return True


start()
selector = selectors.DefaultSelector()
selector.register(NOTIFY, selectors.EVENT_READ)
selector.register(sys.stdin, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is NOTIFY:
            receive(1)
            continue
        order = os.read(0, 100).decode().strip()
        while receive(0):
            pass
        if order == "names":
            say("names", *sorted(name for name, _ in store))
        if order in ("restart", "end"):
            end(signal.SIGTERM)
        if order == "kill":
            end(signal.SIGKILL)
        if order in ("restart", "kill", "start"):
            start()
        if order == "":
            end(signal.SIGKILL)
            sys.exit()

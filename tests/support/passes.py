"""Clients that pass descriptors concurrently, and check what QEMU has received.

Usage: passes.py SOCKET QEMU-PID QMPMUX-PID CLIENTS PASSES

Each client passes files in memory with unique names, under its own names, and
checks in /proc whether QEMU has exactly that file. In between it makes errors: a
command that is refused, one with wrong arguments, malformed input, sixteen
descriptors at once, a connection that closes in the middle of a command. The last
line is a JSON object with the counts.
"""

import array
import json
import os
import socket
import sys
import threading

PATH, QEMU, MUX, CLIENTS, PASSES = sys.argv[1], *map(int, sys.argv[2:6])


def files(pid):
    """Returns the files that a process has open: number to target."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found


def in_memory(pid):
    return sum(1 for target in files(pid).values() if target.startswith("/memfd:"))


class Client:
    def __init__(self, name):
        self.name = name
        self.passed = self.wrong = self.odd = 0
        self.connect()

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(PATH)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.ask('{"execute":"qmp_capabilities"}')

    def send(self, text, names=()):
        made = [os.memfd_create(name) for name in names]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", made))] if made else []
        data = text.encode()
        sent = self.socket.sendmsg([data], rights)
        self.socket.sendall(data[sent:])
        for each in made:
            os.close(each)

    def ask(self, text, names=()):
        self.send(text, names)
        while True:
            line = json.loads(self.lines.readline())
            if "event" not in line:
                return line

    def expect(self, is_right):
        if not is_right:
            self.wrong += 1

    def run(self):
        for number in range(PASSES // CLIENTS):
            file = f"{self.name}-{number}"
            if number % 2:
                self.by_name(file)
            else:
                self.by_set(file)
            self.passed += 1
            if number % 10 == 0:
                self.go_wrong(number // 10, file)
        self.socket.close()

    def by_name(self, file):
        name = f"n{self.name}"
        command = '{"execute":"getfd","arguments":{"fdname":"%s"}}' % name
        if file.endswith("1"):
            self.send(" ", [file])
            reply = self.ask(command)
        else:
            reply = self.ask(command, [file])
        self.expect(reply == {"return": {}})
        self.expect(f"/memfd:{file} (deleted)" in files(QEMU).values())
        reply = self.ask('{"execute":"closefd","arguments":{"fdname":"%s"}}' % name)
        self.expect(reply == {"return": {}})

    def by_set(self, file):
        reply = self.ask('{"execute":"add-fd","arguments":{"opaque":"%s"}}' % file, [file])
        got = reply.get("return", {})
        self.expect(files(QEMU).get(got.get("fd")) == f"/memfd:{file} (deleted)")
        command = '{"execute":"remove-fd","arguments":{"fdset-id":%d}}' % got.get("fdset-id", -1)
        self.expect(self.ask(command) == {"return": {}})

    def go_wrong(self, kind, file):
        self.odd += 1
        kind %= 6
        if kind == 0:
            reply = self.ask('{"execute":"getfd","arguments":{"fdname":"1x"}}', [file])
            self.expect("not starting with a digit" in reply["error"]["desc"])
        elif kind == 1:
            reply = self.ask('{"execute":"getfd","arguments":{}}', [file])
            self.expect("is missing" in reply["error"]["desc"])
        elif kind == 2:
            reply = self.ask("}", [file])
            self.expect("JSON" in reply["error"]["desc"])
        elif kind == 3:
            reply = self.ask('{"execute":"query-name"}', [file] * 16)
            self.expect("return" in reply)
        elif kind == 4:
            self.send('{"execute":"getfd","arguments":{"fdn', [file])
            self.socket.close()
            self.connect()
        else:
            self.send('{"execute":"getfd","arguments":{"fdname":"cut%s"}}' % self.name, [file])
            self.socket.close()
            self.connect()


def samples(clients, series):
    """Samples both processes ten times in all, after equal numbers of passed files."""
    for step in range(1, 11):
        while sum(client.passed for client in clients) < PASSES * step // 10 - CLIENTS:
            if not any(thread.is_alive() for thread in threads):
                break
            threading.Event().wait(0.05)
        series.append([len(files(MUX)), len(files(QEMU))])


clients = [Client(f"c{number}") for number in range(CLIENTS)]
# While the VM is stopped QEMU keeps what was removed from a set.
clients[0].ask('{"execute":"cont"}')
before = [len(files(MUX)), len(files(QEMU))]
threads = [threading.Thread(target=client.run) for client in clients]
for thread in threads:
    thread.start()
series = []
samples(clients, series)
for thread in threads:
    thread.join()
last = Client("last")
for _ in range(20):
    last.ask('{"execute":"query-status"}')
print(json.dumps({
    "passed": sum(client.passed for client in clients),
    "odd": sum(client.odd for client in clients),
    "wrong": sum(client.wrong for client in clients),
    "before": before,
    "series": series,
    "left": [in_memory(MUX), in_memory(QEMU)],
    "fdsets": last.ask('{"execute":"query-fdsets"}')["return"],
}))

#!/usr/bin/python3
"""A domain's emulator that puts a multiplexer between libvirt and QEMU's monitor.

libvirt passes QEMU a listening socket for the monitor. This program gives QEMU
another one instead, at `qemu.sock` beside this file, to which the multiplexer
connects. While QEMU runs, it relays connections to libvirt's socket to the
multiplexer, at `mux.sock`. It passes any other call on to QEMU unchanged.
"""

import os
import re
import select
import socket
import sys

QEMU = "/usr/bin/qemu-system-x86_64"
PLACE = os.path.dirname(os.path.abspath(__file__))


def monitor_descriptor(args):
    """Returns the number of libvirt's listening socket, or None."""
    for arg in args:
        match = re.match(r"socket,id=charmonitor,fd=(\d+),", arg)
        if match:
            return int(match.group(1))
    return None


def join(client, mux):
    """Relays bytes both ways until one side closes."""
    other = {client: mux, mux: client}
    while True:
        for side in select.select([client, mux], [], [])[0]:
            try:
                data = side.recv(65536)
                if not data:
                    return
                other[side].sendall(data)
            except OSError:
                return


def relay(listener, qemu):
    """Serves libvirt's socket until QEMU, a pid descriptor, has exited."""
    while True:
        ready = select.select([listener, qemu], [], [])[0]
        if qemu in ready:
            return
        client, _ = listener.accept()
        with client, socket.socket(socket.AF_UNIX) as mux:
            mux.connect(f"{PLACE}/mux.sock")
            join(client, mux)


def detach():
    """Returns True in a process that is not QEMU's child and has none of its files, and False in the caller."""
    child = os.fork()
    if child != 0:
        os.waitpid(child, 0)
        return False
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    return True


def main():
    args = sys.argv[1:]
    number = monitor_descriptor(args)
    if number is None:
        os.execv(QEMU, [QEMU, *args])

    path = f"{PLACE}/qemu.sock"
    if os.path.exists(path):
        os.unlink(path)
    inner = socket.socket(socket.AF_UNIX)
    inner.bind(path)
    inner.listen(1)

    kept = os.dup(number)
    qemu = os.pidfd_open(os.getpid())
    if detach():
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        for descriptor in os.listdir("/proc/self/fd"):
            if int(descriptor) > 2 and int(descriptor) not in (kept, qemu):
                try:
                    os.close(int(descriptor))
                except OSError:
                    pass
        try:
            relay(socket.socket(fileno=kept), qemu)
        finally:
            os._exit(0)
    os.close(kept)
    os.close(qemu)
    os.dup2(inner.fileno(), number, inheritable=True)
    os.execv(QEMU, [QEMU, *args])


main()

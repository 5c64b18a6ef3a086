#!/usr/bin/python3
"""Connects to the screen of the domain `shared` as a viewer does, over its own socket.

graphics.py URI: makes libvirt pass QEMU one end of a pair of sockets, and speaks VNC
on the other up to the name of the screen, which it prints.
"""

import socket
import struct
import sys

import libvirt


def exactly(stream, length):
    """Reads that many bytes, or raises an error."""
    data = b""
    while len(data) < length:
        piece = stream.recv(length - len(data))
        if not piece:
            raise EOFError(f"{len(data)} of {length} bytes")
        data += piece
    return data


def main():
    domain = libvirt.open(sys.argv[1]).lookupByName("shared")
    number = domain.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
    with socket.socket(fileno=number) as stream:
        stream.settimeout(30)
        version = exactly(stream, 12)
        stream.sendall(version)
        kinds = exactly(stream, exactly(stream, 1)[0])
        stream.sendall(kinds[:1])
        assert exactly(stream, 4) == bytes(4), "refused"
        stream.sendall(b"\x01")
        length = struct.unpack(">20xI", exactly(stream, 24))[0]
        print(version.decode().strip(), exactly(stream, length).decode())


main()

#!/usr/bin/python3
"""Looks at the screen of the domain `shared` as a viewer does, over a socket of its own.

graphics.py URI: has libvirt hand QEMU one end of a pair of sockets, and speaks VNC
on the other as far as the name of the screen, which it prints.
"""

import socket
import struct
import sys

import libvirt


def exactly(stream, length):
    """So many bytes, or an error."""
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

"""Measures the time from the start of a program on a terminal to a text of its.

prompt.py TEXT PROGRAM ARGS...: prints the milliseconds, and ends the program with Ctrl-D.
"""

import os
import pty
import sys
import time


def main(text, *command):
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    seen = b""
    while text.encode() not in seen:
        seen += os.read(terminal, 65536)
    print((time.perf_counter() - began) * 1000)
    try:
        os.write(terminal, b"\x04")
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass
    os.waitpid(child, 0)


main(*sys.argv[1:])

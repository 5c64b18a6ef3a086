"""Runs a program on a terminal of its own.

terminal.py COLUMNS ROWS PROGRAM ARGS...: reads one JSON object a line from stdin, {"type": TEXT}, {"size":
[COLUMNS, ROWS]} or {"hang up": true}, and does so. Prints the program's output as it comes, a
JSON text a line, and at its end {"status": N}. A size of 0 and 0 is that of a terminal which tells none.
"""

import codecs
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios


def set_size(terminal, columns, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def tell(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main(columns, rows, *command):
    child, terminal = pty.fork()
    if child == 0:
        set_size(0, int(columns), int(rows))
        os.execvp(command[0], command)
    waiting = b""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    inputs = [terminal, 0]
    while terminal in inputs:
        ready, _, _ = select.select(inputs, [], [])
        if terminal in ready:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                part = b""
            if part:
                tell(decoder.decode(part))
            else:
                inputs.remove(terminal)
        if 0 in ready:
            part = os.read(0, 65536)
            if not part:
                break
            *lines, waiting = (waiting + part).split(b"\n")
            for line in lines:
                order = json.loads(line)
                if "type" in order:
                    os.write(terminal, order["type"].encode())
                elif "size" in order:
                    set_size(terminal, *order["size"])
                else:
                    os.close(terminal)
                    inputs.remove(terminal)
    if 0 in inputs and terminal in inputs:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    tell({"status": os.waitstatus_to_exitcode(status)})


main(*sys.argv[1:])

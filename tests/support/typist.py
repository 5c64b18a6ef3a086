"""Types lines with a tab at their end into a shell, as a user does.

typist.py HOW SCRIPT PROGRAM: reads one JSON text a line, types it after the
program's name, then tab and enter, and prints as JSON the words that the program
then received. PROGRAM prints the candidates. The shell is a real one, in its own
terminal and the directory of SCRIPT, with no settings but the completions there.
HOW begins with the shell's name.
"""

import json
import os
import pty
import shutil
import sys
import tempfile

COMMANDS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}

# The commands that load the completions; zsh searches PLACES for files of functions.
BEFORE = {
    "bash": "source SCRIPT",
    "zsh": "autoload -U compinit; compinit -D -u; source SCRIPT",
    "zsh PLACES": "fpath=($(dirname SCRIPT) $fpath); autoload -U compinit; compinit -D -u",
}

# The program prints this when it has recorded its words; no shell echoes it.
MARK = b"\x1eended\x1e"


def read_until_mark(terminal):
    seen = b""
    while MARK not in seen:
        part = os.read(terminal, 65536)
        if not part:
            raise EOFError("the shell has exited: " + repr(seen))
        seen += part


def main(how, script, real):
    place = tempfile.mkdtemp(prefix="qmpmux-typist-")
    try:
        run(how, script, real, place)
    finally:
        shutil.rmtree(place)


def run(how, script, real, place):
    command = COMMANDS[how.split(" ")[0]]
    noted = os.path.join(place, "noted")
    program = os.path.join(place, "qmpmux")
    with open(program, "w") as file:
        file.write(f"""#!/bin/sh
[ "$1" != __complete ] || exec {real} "$@"
: >{noted}
[ $# -eq 0 ] || printf '%s\\0' "$@" >{noted}
printf '\\036ended\\036'
""")
    os.chmod(program, 0o755)
    child, terminal = pty.fork()
    if child == 0:
        env = {
            "HOME": place,
            "PATH": f"{place}:{os.environ['PATH']}",
            "TERM": "dumb",
            "COLUMNS": "1000",
            "LC_ALL": "C.UTF-8",
            "HISTFILE": "",
        }
        os.chdir(os.path.dirname(script))
        os.execvpe(command[0], command, env)

    def enter(text):
        os.write(terminal, (text + "\n").encode())
        read_until_mark(terminal)
        with open(noted) as file:
            return file.read().split("\0")[:-1]

    enter(BEFORE[how].replace("SCRIPT", script) + "; qmpmux")
    for line in sys.stdin:
        print(json.dumps(enter("qmpmux " + json.loads(line) + "\t")), flush=True)
    os.write(terminal, b"exit\n")
    # It exits by itself, once its remaining output has been read.
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass
    os.waitpid(child, 0)


main(*sys.argv[1:])

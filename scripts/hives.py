"""Reads hives with another program: hivexregedit exports them."""

import re, struct, subprocess, sys


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{sys.argv[0]}: {' '.join(command)}: {done.stderr.decode(errors='replace')[-500:]}")
    return done.stdout.decode(errors="replace")


def unescape(text):
    return re.sub(r"\\(.)", r"\1", text)


def data_of(text):
    """Type and bytes in the right side of a line."""
    if text.startswith("dword:"):
        return 4, struct.pack("<I", int(text[6:], 16))
    if text.startswith('"'):
        return 1, (unescape(text[1:-1]) + "\0").encode("utf-16-le")
    kind, digits = re.fullmatch(r"hex(?:\(([0-9a-f]+)\))?:(.*)", text).groups()
    return int(kind or "3", 16), bytes.fromhex(digits.replace(",", ""))


def export(path):
    """Keys of the hive with their values: name to type and bytes. The root is called ``."""
    keys, values = {}, {}
    for line in run("hivexregedit", "--export", path, "\\").splitlines():
        if line.startswith("["):
            values = keys.setdefault(line[2:-1], {})
        elif line.startswith("@="):
            values[""] = data_of(line[2:])
        elif line.startswith('"'):
            name, value = re.fullmatch(r'"((?:[^"\\]|\\.)*)"=(.*)', line).groups()
            values[unescape(name)] = data_of(value)
    return keys

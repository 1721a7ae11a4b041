# What a job can see of another on the same worker: neighbour.py ADDRESS PORT...  One line of JSON: which ports take a
# connection on loopback and on the worker's mesh address, which marks lie about, and whose processes there are.
import glob
import json
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

MARK = "mark-of-the-first-tenant"
ROOTS = ("/tmp", "/home", "/dev/shm", "/var/tmp", "/root", "/proc")


def takes(place):
    try:
        socket.create_connection(place, timeout=1).close()
    except OSError:
        return False
    return True


def marks():
    for root in ROOTS:
        for folder, _, names in os.walk(root, onerror=lambda _: None):
            if folder.count("/") > 6:
                continue
            if MARK in names:
                yield os.path.join(folder, MARK)


def users():
    for status in glob.glob("/proc/[0-9]*/status"):
        try:
            yield int(next(line for line in open(status) if line.startswith("Uid:")).split()[1])
        except (OSError, StopIteration):
            pass


mesh, *ports = sys.argv[1:]
places = [(address, int(port)) for address in ("127.0.0.1", mesh) for port in ports]
with ThreadPoolExecutor(max(1, len(places))) as pool:
    found = [f"{address}:{port}" for (address, port), took in zip(places, pool.map(takes, places)) if took]
seen = {"ports": found, "marks": sorted(set(marks())), "users": sorted(set(users())), "user": os.getuid()}
print(json.dumps(seen))

# Leaves a mark in every place that it can write to, listens on ports that nobody gave it, and says which, until it is stopped.
import json
import os
import socket
import time

MARK = "mark-of-the-first-tenant"

for folder in ("/tmp", os.path.expanduser("~"), "/dev/shm", "/var/tmp"):
    try:
        open(os.path.join(folder, MARK), "w").close()
    except OSError:
        pass
servers = [socket.create_server((address, 0)) for address in ("127.0.0.1", "0.0.0.0")]
print(json.dumps({"ports": [server.getsockname()[1] for server in servers], "user": os.getuid()}), flush=True)
time.sleep(600)

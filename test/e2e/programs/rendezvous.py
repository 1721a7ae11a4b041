# As libraries for distributed training do it: one node listens on a free port of its mesh address and tells it, another
# connects. Says the port and how long that took, and goes on listening until it is stopped.
import os
import socket
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@ray.remote(num_cpus=0)
class Rank:
    def listen(self):
        self.server = socket.create_server((os.environ["ROPEWALK_ADDRESS"], 0))
        return self.server.getsockname()

    def accept(self):
        connection, _ = self.server.accept()
        connection.sendall(b"hello")
        return True

    def connect(self, address):
        assert address[0] != os.environ["ROPEWALK_ADDRESS"]
        started = time.monotonic()
        with socket.create_connection(address, timeout=10) as connection:
            assert connection.recv(5) == b"hello"
        return time.monotonic() - started


ray.init()
nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
one, two = (
    Rank.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in nodes[:2]
)
address = ray.get(one.listen.remote())
accepted = one.accept.remote()
seconds = ray.get(two.connect.remote(tuple(address)))
assert ray.get(accepted)
print(f"met on {address[0]}:{address[1]} after {seconds:.2f} s", flush=True)
time.sleep(600)

# Says on how many nodes its tasks ran, and its first argument; ends with the second.
import sys
import time

import ray


@ray.remote(scheduling_strategy="SPREAD")
def where():
    time.sleep(0.2)
    return ray.get_runtime_context().get_node_id()


ray.init()
nodes = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
seen = set()
while seen != nodes:
    seen |= set(ray.get([where.remote() for _ in range(2 * len(nodes))]))
print(f"{len(seen)} nodes, {sys.argv[1]!r}")
sys.exit(int(sys.argv[2]))

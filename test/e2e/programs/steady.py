# Works on all nodes for as long as it is told, with nothing that may be tried twice, and says what came of it:
# steady.py SECONDS. Whatever is lost meanwhile ends it with an error.
import json
import sys
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)
class Keeper:
    """Holds a count and an object, both of which are gone when it is."""

    def __init__(self):
        self.count = 0
        self.held = ray.put(bytes(1_000_000))

    def add(self):
        self.count += 1
        return self.count

    def object(self):
        return [self.held]

    def node(self):
        return ray.get_runtime_context().get_node_id()


ray.init()
nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
keepers = [
    Keeper.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in nodes
]
assert sorted(ray.get([keeper.node.remote() for keeper in keepers])) == nodes
print(f"ready on {len(nodes)} nodes", flush=True)

rounds = 0
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    rounds += 1
    assert ray.get([keeper.add.remote() for keeper in keepers]) == [rounds] * len(keepers)
    time.sleep(0.1)

sizes = [len(ray.get(ray.get(keeper.object.remote())[0])) for keeper in keepers]
assert sizes == [1_000_000] * len(keepers)
alive = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
print(json.dumps({"rounds": rounds, "same": alive == nodes}))

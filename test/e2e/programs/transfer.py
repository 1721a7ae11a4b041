# How fast an object of 200 MB comes from another node: prints one line of JSON.
import json
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

BYTES = 200_000_000
ROUNDS = 5


@ray.remote(num_cpus=0)
class Holder:
    def make(self):
        self.ref = ray.put(b"\0" * BYTES)
        return [self.ref]

    def fetch(self, refs):
        started = time.perf_counter()
        size = len(ray.get(refs[0]))
        return size, time.perf_counter() - started, ray.get_runtime_context().get_node_id()


ray.init()
nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
one, two = (
    Holder.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in nodes[:2]
)
ray.get([two.fetch.remote([ray.put(b"")]), one.fetch.remote([ray.put(b"")])])
best = 0.0
for _ in range(ROUNDS):
    refs = ray.get(one.make.remote())
    size, seconds, _ = ray.get(two.fetch.remote(refs))
    best = max(best, size * 8 / seconds / 1e9)
print(json.dumps({"gbitPerSecond": best, "bytes": size, "nodes": nodes}))

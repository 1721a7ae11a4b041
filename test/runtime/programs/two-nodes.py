# A job: proves that two nodes of the cluster computed, and moves an object of 20 MB from one to the other.
import hashlib
import os

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ray.init()
nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]


@ray.remote
def make():
    return os.urandom(20_000_000)


@ray.remote
def digest(data):
    return ray.get_runtime_context().get_node_id(), hashlib.sha256(data).hexdigest()


on = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
made = make.options(scheduling_strategy=on[0]).remote()
found = ray.get([digest.options(scheduling_strategy=where).remote(made) for where in on])
print("nodes", *sorted({node for node, _ in found}))
print("same", len({digest for _, digest in found}) == 1)

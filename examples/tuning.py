# Hyper-parameter tuning: eight trials of one small training with different settings, spread over the nodes. Ray runs a
# trial again on another node when it loses the one that it ran on.
#   python tuning.py [--epochs N]     more epochs make the trials longer
import argparse
import collections
import itertools
import json
import math
import random
import sys
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

RATES = (0.003, 0.03, 0.3, 3.0)
MOMENTA = (0.0, 0.9)
POINTS = 2_000
BATCH = 50
LEAST_ACCURACY = 0.85


def data(seed):
    """Points in ten dimensions on both sides of a plane, one in twenty on the wrong one."""
    plane = [(-1) ** at * (at + 1) / 5 for at in range(10)]
    chance = random.Random(seed)
    points = []
    for _ in range(POINTS):
        x = [chance.gauss(0, 1) for _ in plane]
        side = sum(a * b for a, b in zip(plane, x)) > 0
        points.append((x, int(side != (chance.random() < 0.05))))
    return points


@ray.remote(num_cpus=0)
class Board:
    """Where trials say how far they are; on the driver's node, so that it lives as long as the driver."""

    def __init__(self):
        self.news = []

    def tell(self, trial, epoch, node, address):
        self.news.append((trial, epoch, node, address))

    def take(self):
        news, self.news = self.news, []
        return news


@ray.remote(num_cpus=1, max_retries=10, scheduling_strategy="SPREAD")
def train(trial, rate, momentum, epochs, board):
    """Logistic regression; returns the node that computed it, and the share of other points that it gets right."""
    node, address = ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
    points, chance = data(1), random.Random(trial)
    weights, speed = [0.0] * 10, [0.0] * 10
    for epoch in range(epochs):
        if epoch % max(1, epochs // 4) == 0:
            board.tell.remote(trial, epoch, node, address)
        chance.shuffle(points)
        for start in range(0, len(points), BATCH):
            slope = [0.0] * 10
            for x, kind in points[start : start + BATCH]:
                out = sum(a * b for a, b in zip(weights, x))
                wrong = 1 / (1 + math.exp(-max(-30.0, min(30.0, out)))) - kind
                slope = [s + wrong * a for s, a in zip(slope, x)]
            speed = [momentum * v - rate * s / BATCH for v, s in zip(speed, slope)]
            weights = [w + v for w, v in zip(weights, speed)]
    right = sum((sum(a * b for a, b in zip(weights, x)) > 0) == (kind == 1) for x, kind in data(2))
    return node, right / POINTS


def main(epochs):
    ray.init(logging_level="ERROR")
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        sys.exit(f"This shows work on several nodes, and the cluster has {len(nodes)}: add one first.")
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board = Board.options(scheduling_strategy=here).remote()
    settings = list(itertools.product(RATES, MOMENTA))
    print(f"{len(settings)} trials of {epochs} epochs on {len(nodes)} nodes", flush=True)
    began = time.perf_counter()
    trial_of = {train.remote(trial, *setting, epochs, board): trial for trial, setting in enumerate(settings)}
    results, starts = {}, collections.defaultdict(list)
    while len(results) < len(settings):
        pending = [ref for ref, trial in trial_of.items() if trial not in results]
        ended, _ = ray.wait(pending, timeout=0.2)
        for trial, epoch, node, address in ray.get(board.take.remote()):
            if epoch == 0:
                starts[trial].append(node)
            if trial not in results:
                print(f"trial {trial} is at epoch {epoch} of {epochs} on {address}", flush=True)
        for ref in ended:
            trial = trial_of[ref]
            results[trial] = ray.get(ref)
            node, accuracy = results[trial]
            rate, momentum = settings[trial]
            what = f"{accuracy:.1%} with rate {rate}, momentum {momentum}"
            print(f"trial {trial} ended on node {node[:8]}: {what}", flush=True)
    seconds = time.perf_counter() - began
    computed = collections.Counter(node for node, _ in results.values())
    again = sorted(trial for trial, where in starts.items() if len(where) > 1)
    assert len(computed) >= 2, "only one node computed"
    best = max(results, key=lambda trial: results[trial][1])
    accuracy = results[best][1]
    assert accuracy >= LEAST_ACCURACY, f"the best trial is right on {accuracy:.1%} only"
    rate, momentum = settings[best]
    result = {"example": "tuning", "nodes": computed, "trials": len(results), "again": again}
    best_one = {"rate": rate, "momentum": momentum, "accuracy": accuracy}
    print(json.dumps({**result, "best": best_one, "seconds": round(seconds, 2)}))


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--epochs", type=int, default=60)
    main(options.parse_args().epochs)

# Data-parallel training of a small neural network: every node has a shard of the data and computes the gradient on it;
# the steps follow their average. It must end where the same training in one process ends.
import collections
import json
import math
import random
import sys
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

POINTS = 600
HIDDEN = 12
STEPS = 150
RATE = 2.0
LARGEST_DIFFERENCE = 1e-5
LEAST_ACCURACY = 0.95


def two_moons():
    """Points of two half circles that reach into each other, and which one each is of."""
    chance = random.Random(1)
    points = []
    for number in range(POINTS):
        angle, kind = math.pi * chance.random(), number % 2
        x, y = (math.cos(angle), math.sin(angle)) if kind == 0 else (1 - math.cos(angle), 0.4 - math.sin(angle))
        points.append((x + chance.gauss(0, 0.1), y + chance.gauss(0, 0.1), kind))
    return points


def first_weights():
    """For each hidden unit two inputs, bias and output; the output's bias at the end."""
    chance = random.Random(2)
    return [chance.gauss(0, 1) for _ in range(4 * HIDDEN)] + [0.0]


def gradient(weights, points):
    """Sum over the points of the loss (cross-entropy), of its gradient, and of right answers."""
    total, loss, right = [0.0] * len(weights), 0.0, 0
    units = [tuple(weights[at : at + 4]) for at in range(0, 4 * HIDDEN, 4)]
    for x, y, kind in points:
        hidden = [math.tanh(a * x + b * y + c) for a, b, c, _ in units]
        out = weights[-1] + sum(h * unit[3] for h, unit in zip(hidden, units))
        likely = 1 / (1 + math.exp(-out))
        loss -= math.log(likely if kind else 1 - likely)
        right += (out > 0) == (kind == 1)
        wrong = likely - kind
        for at, (h, unit) in enumerate(zip(hidden, units)):
            back = wrong * unit[3] * (1 - h * h)
            total[4 * at] += back * x
            total[4 * at + 1] += back * y
            total[4 * at + 2] += back
            total[4 * at + 3] += wrong * h
        total[-1] += wrong
    return total, loss, right


def train(gradients_of):
    """Gradient descent on all points. `gradients_of(weights)` gives what each shard has. Returns losses, accuracy."""
    weights, losses, accuracy = first_weights(), [], 0.0
    for _ in range(STEPS):
        parts = gradients_of(weights)
        losses.append(sum(loss for _, loss, _ in parts) / POINTS)
        accuracy = sum(right for _, _, right in parts) / POINTS
        averaged = [sum(column) / POINTS for column in zip(*(total for total, _, _ in parts))]
        weights = [weight - RATE * slope for weight, slope in zip(weights, averaged)]
    return losses, accuracy


@ray.remote
class Shard:
    """A part of the data on one node."""

    def __init__(self, points):
        self.points = points
        self.steps = 0

    def gradient(self, weights):
        self.steps += 1
        return gradient(weights, self.points)

    def report(self):
        return ray.get_runtime_context().get_node_id(), self.steps


def on(node):
    return NodeAffinitySchedulingStrategy(node, soft=False)


def main():
    ray.init(logging_level="ERROR")
    nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
    if len(nodes) < 2:
        sys.exit(f"This shows work on several nodes, and the cluster has {len(nodes)}: add one first.")
    points = two_moons()
    shards = [
        Shard.options(scheduling_strategy=on(node)).remote(points[at :: len(nodes)]) for at, node in enumerate(nodes)
    ]
    print(f"{POINTS} points in {len(shards)} shards, {STEPS} steps")
    ray.get([shard.report.remote() for shard in shards])
    began = time.perf_counter()
    losses, accuracy = train(lambda weights: ray.get([shard.gradient.remote(weights) for shard in shards]))
    seconds = time.perf_counter() - began
    computed = collections.Counter(dict(ray.get([shard.report.remote() for shard in shards])))
    for node, steps in sorted(computed.items()):
        print(f"node {node[:8]} computed {steps} gradients")
    assert len(computed) >= 2, "only one node computed"

    alone, _ = train(lambda weights: [gradient(weights, points)])
    difference = abs(losses[-1] - alone[-1])
    print(f"loss {losses[0]:.4f}, then {losses[-1]:.4f}; in one process {alone[-1]:.4f}")
    print(f"{accuracy:.1%} of the points right")
    assert difference <= LARGEST_DIFFERENCE, f"the losses are {difference} apart"
    assert accuracy >= LEAST_ACCURACY, f"only {accuracy:.1%} of the points are right"
    result = {"example": "data_parallel", "nodes": computed, "steps": STEPS, "accuracy": round(accuracy, 4)}
    print(json.dumps({**result, "seconds": round(seconds, 2), "loss": losses[-1], "difference": difference}))


if __name__ == "__main__":
    main()

# Reinforcement learning: evolution strategies teach a linear policy to balance a pole on a cart. Every node plays the
# episodes of some of the tried policies. All chance comes from fixed seeds: each run plays the same episodes.
import collections
import itertools
import json
import math
import random
import sys
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

PAIRS = 24
EPISODES = 2
STEP = 0.5
RATE = 0.6
MOST_GENERATIONS = 40
MOST_STEPS = 500
# what counts as solved for this task with 500 steps (Gymnasium's CartPole-v1), over 100 episodes not seen before
BAR = 475
TEST_EPISODES = 100


def play(policy, seed):
    """One episode; returns for how many steps the pole stood. Barto, Sutton and Anderson 1983, Euler steps of 20 ms."""
    chance = random.Random(seed)
    x, speed, angle, turn = (chance.uniform(-0.05, 0.05) for _ in range(4))
    for step in range(MOST_STEPS):
        push = policy[0] * x + policy[1] * speed + policy[2] * angle + policy[3] * turn
        force = 10.0 if push > 0 else -10.0
        sine, cosine = math.sin(angle), math.cos(angle)
        pull = (force + 0.05 * turn * turn * sine) / 1.1
        turning = (9.8 * sine - cosine * pull) / (0.5 * (4 / 3 - 0.1 * cosine * cosine / 1.1))
        gaining = pull - 0.05 * turning * cosine / 1.1
        x, speed, angle, turn = x + 0.02 * speed, speed + 0.02 * gaining, angle + 0.02 * turn, turn + 0.02 * turning
        if abs(x) > 2.4 or abs(angle) > math.radians(12):
            return step + 1
    return MOST_STEPS


@ray.remote
class Player:
    """Plays episodes on one node."""

    def __init__(self):
        self.episodes = 0

    def rewards(self, policies, seeds):
        self.episodes += len(policies) * len(seeds)
        return [sum(play(policy, seed) for seed in seeds) / len(seeds) for policy in policies]

    def report(self):
        return ray.get_runtime_context().get_node_id(), self.episodes


def play_on(players, policies, seeds):
    """The mean reward of each policy, in their order; the policies are dealt out to the players."""
    dealt = ray.get([player.rewards.remote(policies[at :: len(players)], seeds) for at, player in enumerate(players)])
    rewards = [0.0] * len(policies)
    for at, part in enumerate(dealt):
        rewards[at :: len(players)] = part
    return rewards


def improve(policy, generation, players):
    """A step of evolution strategies (Salimans et al. 2017): towards what is better of each pair of opposite steps."""
    chance = random.Random(generation)
    steps = [[chance.gauss(0, 1) for _ in policy] for _ in range(PAIRS)]
    tried = [[p + sign * STEP * s for p, s in zip(policy, step)] for step in steps for sign in (1, -1)]
    rewards = play_on(players, tried, [1_000 * generation + at for at in range(EPISODES)])
    mean = sum(rewards) / len(rewards)
    scale = math.sqrt(sum((reward - mean) ** 2 for reward in rewards) / len(rewards)) or 1.0
    gains = [(rewards[2 * at] - rewards[2 * at + 1]) / scale for at in range(PAIRS)]
    moved = [sum(gain * step[at] for gain, step in zip(gains, steps)) / PAIRS for at in range(len(policy))]
    return [p + RATE * m for p, m in zip(policy, moved)], mean


def main():
    ray.init(logging_level="ERROR")
    nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
    if len(nodes) < 2:
        sys.exit(f"This shows work on several nodes, and the cluster has {len(nodes)}: add one first.")
    players = [
        Player.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in nodes
    ]
    began = time.perf_counter()
    policy, reward, generation = [0.0] * 4, 0.0, 0
    seeds = range(1_000_000, 1_000_000 + TEST_EPISODES)
    while reward < BAR and generation < MOST_GENERATIONS:
        generation += 1
        policy, mean = improve(policy, generation, players)
        parts = [player.rewards.remote([policy], [seed]) for seed, player in zip(seeds, itertools.cycle(players))]
        reward = sum(part[0] for part in ray.get(parts)) / TEST_EPISODES
        got = f"the tried policies get {mean:.0f}, the new one {reward:.0f} of {MOST_STEPS}"
        print(f"generation {generation}: {got}", flush=True)
    seconds = time.perf_counter() - began
    computed = collections.Counter(dict(ray.get([player.report.remote() for player in players])))
    for node, episodes in sorted(computed.items()):
        print(f"node {node[:8]} played {episodes} episodes")
    assert len(computed) >= 2, "only one node computed"
    assert reward >= BAR, f"the policy gets {reward} of {MOST_STEPS}, less than {BAR}"
    result = {"example": "cart_pole", "nodes": computed, "generations": generation, "reward": reward}
    print(json.dumps({**result, "seconds": round(seconds, 2)}))


if __name__ == "__main__":
    main()

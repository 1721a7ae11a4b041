# Batch inference and serving: a naive Bayes model that tells Python from English classifies lines on all nodes at once,
# then every node serves it over HTTP. Both must answer as this process does by itself.
#   python batch_inference.py [--serve SECONDS]     stay that long, to be asked by others
import argparse
import collections
import http.server
import inspect
import json
import math
import os
import pydoc
import re
import sys
import threading
import time
import urllib.request

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

BATCHES = 24
ASKED = 20
LEAST_ACCURACY = 0.85


def read_lines():
    """Lines and their kind, from what every Python brings: the source and the help text of its own library."""
    modules = [argparse, collections, http.server, inspect, json, pydoc, re, threading, urllib.request]
    found = [(line, "python") for module in modules for line in inspect.getsource(module).splitlines()]
    from pydoc_data.topics import topics

    # what is indented there is an example in Python
    found += [(line, "english") for text in topics.values() for line in text.splitlines() if line[:1] != " "]
    return [(line.strip(), kind) for line, kind in found if len(line.split()) >= 3]


class NaiveBayes:
    """Word counts of each kind, with Laplace's smoothing."""

    def __init__(self, examples):
        counts = collections.defaultdict(collections.Counter)
        for line, kind in examples:
            counts[kind].update(self.words(line))
        known = len({word for count in counts.values() for word in count})
        self.unknown = {kind: -math.log(count.total() + known) for kind, count in counts.items()}
        self.weights = {
            kind: {word: math.log(n + 1) + self.unknown[kind] for word, n in count.items()}
            for kind, count in counts.items()
        }

    def words(self, line):
        return re.findall(r"\w+|[^\w\s]", line)

    def classify(self, line):
        words = self.words(line)
        return max(sorted(self.weights), key=lambda kind: sum(self.weight(kind, word) for word in words))

    def weight(self, kind, word):
        return self.weights[kind].get(word, self.unknown[kind])


@ray.remote
def classify_batch(model, lines):
    return ray.get_runtime_context().get_node_id(), [model.classify(line) for line in lines]


@ray.remote
class Server:
    """The model on one node, over HTTP: POST a line, get its kind."""

    def start(self, model):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                line = self.rfile.read(int(self.headers["Content-Length"])).decode()
                answer = f"{model.classify(line)}\n".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *words):
                pass

        # ropewalk opens this port of the mesh's address to the members of the cluster; without ropewalk any will do
        address = os.environ.get("ROPEWALK_ADDRESS", ray.util.get_node_ip_address())
        port = int(os.environ.get("ROPEWALK_SERVE_PORT", "0"))
        server = http.server.ThreadingHTTPServer((address, port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://{address}:{server.server_port}/"


def ask(url, line):
    with urllib.request.urlopen(url, data=line.encode(), timeout=30) as answer:
        return answer.read().decode().strip()


def on(node):
    return NodeAffinitySchedulingStrategy(node, soft=False)


def main(serve_seconds):
    ray.init(logging_level="ERROR")
    nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
    if len(nodes) < 2:
        sys.exit(f"This shows work on several nodes, and the cluster has {len(nodes)}: add one first.")
    lines = read_lines()
    model = NaiveBayes(lines[::2])
    asked = lines[1::2]
    print(f"trained on {len(lines[::2])} lines; {len(asked)} others go to {len(nodes)} nodes in {BATCHES} batches")

    shared = ray.put(model)
    batches = [[line for line, _ in asked[start::BATCHES]] for start in range(BATCHES)]
    began = time.perf_counter()
    done = ray.get(
        [
            classify_batch.options(scheduling_strategy=on(nodes[number % len(nodes)])).remote(shared, batch)
            for number, batch in enumerate(batches)
        ]
    )
    seconds = time.perf_counter() - began
    computed = collections.Counter(node for node, _ in done)
    for node, count in sorted(computed.items()):
        print(f"node {node[:8]} classified {count} batches")
    assert len(computed) >= 2, "only one node computed"
    for batch, (node, kinds) in zip(batches, done):
        assert kinds == [model.classify(line) for line in batch], f"node {node} gave other answers than this process"
    truth = [[kind for _, kind in asked[start::BATCHES]] for start in range(BATCHES)]
    right = sum(a == b for (_, kinds), true in zip(done, truth) for a, b in zip(kinds, true))
    accuracy = right / len(asked)
    assert accuracy >= LEAST_ACCURACY, f"the model is right on {accuracy:.1%} of the lines only"
    print(f"{len(asked)} lines in {seconds:.1f} s, {accuracy:.1%} of them right")

    servers = [Server.options(scheduling_strategy=on(node), num_cpus=0).remote() for node in nodes]
    urls = ray.get([server.start.remote(shared) for server in servers])
    for url in urls:
        for line, _ in asked[:: len(asked) // ASKED]:
            assert ask(url, line) == model.classify(line), f"{url} gave another answer than this process"
        print(f"{url} serves it")
    result = {"example": "batch_inference", "nodes": computed, "lines": len(asked), "accuracy": round(accuracy, 4)}
    print(json.dumps({**result, "seconds": round(seconds, 2), "served": urls}), flush=True)
    time.sleep(serve_seconds)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--serve", type=float, default=0, metavar="SECONDS")
    main(options.parse_args().serve)

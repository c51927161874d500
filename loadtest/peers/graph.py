"""Times NetworKit and a numba FRAUDAR peel on the links that `loadtest graph` left.

pip install networkit numba; python graph.py LINKS NODES THREADS TIMES
"""
import math
import sys
import time

import networkit
import numba
import numpy

links = numpy.fromfile(sys.argv[1], dtype=numpy.uint32).reshape(-1, 2)
nodes, threads, times = (int(word) for word in sys.argv[2:5])
networkit.setNumberOfThreads(threads)


def timed(what, run, times=times):
    least = math.inf
    for _ in range(times):
        begun = time.perf_counter()
        result = run()
        least = min(least, time.perf_counter() - begun)
    print(f"  {what:<22} {least:8.3f}", flush=True)
    return result


print(f"networkit {networkit.__version__}, {threads} threads; numba {numba.__version__}")


def build():
    first, second = links[:, 0].astype(numpy.uint64), links[:, 1].astype(numpy.uint64)
    graph = networkit.GraphFromCoo((first, second), n=nodes, directed=False)
    graph.removeSelfLoops()
    graph.removeMultiEdges()
    return graph


graph = timed("build", build)
print(f"  {graph.numberOfEdges() * 2} neighbours in all")
timed("components", lambda: networkit.components.ParallelConnectedComponents(graph).run())
timed("components, sequential", lambda: networkit.components.ConnectedComponents(graph).run())
timed("k-core", lambda: networkit.centrality.CoreDecomposition(graph).run())


def pagerank():
    rank = networkit.centrality.PageRank(graph, damp=0.85, tol=0.0)
    rank.maxIterations = 20
    rank.run()


timed("pagerank, 20 rounds", pagerank)
timed("label propagation", lambda: networkit.community.PLP(graph, maxIterations=20).run())


@numba.njit(cache=False)
def peel(offsets, targets, weights, count):
    """The authors' greedy peel: a tree of minima over what each node brings."""
    leaves = 1
    while leaves < count:
        leaves *= 2
    tree = numpy.full(2 * leaves, numpy.inf)
    total = 0.0
    for node in range(count):
        brings = 0.0
        for place in range(offsets[node], offsets[node + 1]):
            brings += weights[place]
        tree[leaves + node] = brings
        total += brings
    total /= 2
    for node in range(leaves - 1, 0, -1):
        tree[node] = min(tree[2 * node], tree[2 * node + 1])
    best = total / count
    left = count
    while left > 1:
        node = 1
        while node < leaves:
            node = 2 * node if tree[2 * node] <= tree[2 * node + 1] else 2 * node + 1
        total -= tree[node]
        gone = node - leaves
        tree[node] = numpy.inf
        node //= 2
        while node:
            tree[node] = min(tree[2 * node], tree[2 * node + 1])
            node //= 2
        for place in range(offsets[gone], offsets[gone + 1]):
            other = leaves + targets[place]
            if tree[other] != numpy.inf:
                tree[other] -= weights[place]
                other //= 2
                while other:
                    least = min(tree[2 * other], tree[2 * other + 1])
                    if tree[other] == least:
                        break
                    tree[other] = least
                    other //= 2
        left -= 1
        if total / left > best:
            best = total / left
    return best


def fraudar():
    giver, receiver = links[:, 0].astype(numpy.int64), links[:, 1].astype(numpy.int64) + nodes
    popularity = numpy.bincount(receiver, minlength=2 * nodes)
    weight = 1.0 / numpy.log(popularity[receiver] + 5.0)
    one, other = numpy.concatenate([giver, receiver]), numpy.concatenate([receiver, giver])
    order = numpy.argsort(one, kind="stable")
    offsets = numpy.concatenate([[0], numpy.cumsum(numpy.bincount(one, minlength=2 * nodes))])
    return peel(offsets, other[order], numpy.concatenate([weight, weight])[order], 2 * nodes)


peel(numpy.array([0, 1, 2]), numpy.array([1, 0]), numpy.array([1.0, 1.0]), 2)
density = timed("fraudar, one block", fraudar)
print(f"  density {density:.4f}")

"""Writes `eap_ig.json` and `eap_ig.pt` in the layout of EAP-IG, without that library.

By its `Graph.to_json` and `Graph.to_pt` at commit 795f560: one layer, two heads, three edges in the
circuit. Run `python tests/models/graphs/make.py`, needs torch alone.
"""

import json
from pathlib import Path

import torch

HERE = Path(__file__).parent
CFG = {"n_layers": 1, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 4}
SOURCES = ["input", "a0.h0", "a0.h1", "m0"]
DESTINATIONS = [f"a0.h{head}<{letter}>" for letter in "qkv" for head in (0, 1)] + ["m0", "logits"]
KEPT = {("input", "a0.h1<v>"): 0.5, ("a0.h1", "m0"): -0.25, ("m0", "logits"): 2.0}
EDGES = [
    *(("input", name) for name in DESTINATIONS),
    *((f"a0.h{head}", name) for head in (0, 1) for name in ("m0", "logits")),
    ("m0", "logits"),
]

nodes = {name: {"in_graph": name != "a0.h0"} for name in [*SOURCES, "logits"]}
edges = {
    f"{source}->{name}": {
        "score": KEPT.get((source, name), 0.0),
        "in_graph": (source, name) in KEPT,
    }
    for source, name in EDGES
}
(HERE / "eap_ig.json").write_text(json.dumps({"cfg": CFG, "nodes": nodes, "edges": edges}) + "\n")

scores = torch.zeros(len(SOURCES), len(DESTINATIONS))
for (source, name), score in KEPT.items():
    scores[SOURCES.index(source), DESTINATIONS.index(name)] = score
tensors = {
    "cfg": CFG,
    "src_nodes": SOURCES,
    "dst_nodes": DESTINATIONS,
    "edges_scores": scores,
    "edges_in_graph": scores != 0,
    "nodes_in_graph": torch.tensor([True, False, True, True]),
}
torch.save(tensors, HERE / "eap_ig.pt")

"""An un-hooked model compiles, and computes what it did."""

import shutil

import pytest
import torch

from tests.laws._models import build, gap, images_for
from tests.laws.test_spans import THREE, keep
from tests.tiny import READOUTS, images_of, random_model

HAS_COMPILER = any(map(shutil.which, ("g++", "clang++", "c++")))


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.skipif(not HAS_COMPILER, reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_gives_the_same_logits():
    small = THREE.replace(n_layers=1)
    model, images = build(small), images_for(small)
    with torch.no_grad():
        compiled = torch.compile(model)
        assert gap(compiled(images), model(images)) < 1e-10


def test_a_compiled_model_is_one_graph_that_is_not_made_again():
    model, images = build(THREE), images_for(THREE)
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for _ in range(12):
        assert gap(compiled(images), model(images)) < 1e-12
    assert len(graphs) <= 2


@pytest.mark.parametrize("readout", READOUTS)
def test_every_part_compiles_to_one_graph(readout):
    model = random_model(n_layers=1, **READOUTS[readout])
    images = images_of(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert gap(compiled(images), model(images)) < 1e-12


def test_a_hook_added_after_compiling_fires():
    model, images = build(THREE), images_for(THREE)
    compiled = torch.compile(model, backend="eager")
    plain = compiled(images)
    model.add_hook("blocks.1.hook_mlp_out", lambda value, hook: torch.zeros_like(value))
    edited = compiled(images)
    model.reset_hooks()
    assert not torch.equal(edited, plain)
    assert torch.equal(compiled(images), plain)


def test_a_compiled_block_takes_part_in_a_cached_run():
    model, images = build(THREE), images_for(THREE)
    expected = model.run_with_cache(images, names_filter="blocks.*")[1]
    model.blocks[1].mlp.fc_in = torch.compile(model.blocks[1].mlp.fc_in, backend="eager")
    _, cache = model.run_with_cache(images, names_filter="blocks.*", fwd_hooks=[(("z", 1), keep)])
    for name in expected:
        assert gap(cache[name], expected[name]) < 1e-12


def test_what_is_made_for_reading_can_be_compiled_with():
    model = build(THREE)
    compiled = torch.compile(lambda x: x @ model.W_O[0, 0] + model.b_O[0], backend="eager")
    x = torch.ones(2, 4, dtype=torch.float64)
    assert torch.equal(compiled(x), x @ model.W_O[0, 0] + model.b_O[0])

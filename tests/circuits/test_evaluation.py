import numpy as np
import pytest
import torch

from tests.circuits.test_exact import tiny
from vitreous.circuits import (
    MaskedRuns,
    cmd,
    completeness,
    cpr,
    evaluate,
    exact,
    faithfulness,
    faithfulness_curve,
    minimality,
    score_at_random,
    score_by_weights,
    score_reversed,
    split_pairs,
)


def test_the_model_is_faithful_and_the_empty_circuit_is_not() -> None:
    pairs, graph = tiny(3)
    found = faithfulness(pairs, [graph, graph.keeping([])], max_batch=2)
    np.testing.assert_allclose(found["faithfulness"], [1, 0], atol=1e-10)
    np.testing.assert_allclose(found["faithfulness_of_pair"], [[1] * 3, [0] * 3], atol=1e-10)
    np.testing.assert_allclose(found["empty"], pairs.corrupt_value, atol=1e-10)
    assert found["edges"].data.tolist() == [graph.n_possible, 0]


def test_faithfulness_is_that_of_the_means_over_pairs() -> None:
    pairs, graph = tiny(3)
    circuit = score_at_random(graph).top(30)
    found = faithfulness(pairs, circuit)
    means = [float(found[name].mean()) for name in ("value", "model", "empty")]
    expected = (means[0] - means[2]) / (means[1] - means[2])
    assert float(found["faithfulness"][0]) == pytest.approx(expected)
    with torch.no_grad():
        values = MaskedRuns(pairs, graph).values(circuit.included[None])
    np.testing.assert_allclose(found["value"], values, atol=1e-10)


def test_with_nothing_for_all_else_the_empty_circuit_says_what_biases_say() -> None:
    pairs, graph = tiny()
    found = faithfulness(pairs, graph.keeping([]), baseline="zero")
    assert np.ptp(found["empty"].data) < 1e-10 < np.ptp(pairs.corrupt_value.numpy())


def test_areas_are_those_of_hand_made_curves() -> None:
    pairs, graph = tiny()
    curve = faithfulness_curve(pairs, graph.scored(exact(pairs, graph)), pruned=False)
    perfect = curve.assign(faithfulness=curve["faithfulness"] * 0 + 1)
    assert cpr(perfect) == pytest.approx(0.999)
    assert cpr(perfect, log=True) == pytest.approx(1)
    assert cmd(perfect) == cmd(perfect, log=True) == 0
    rising = curve.assign(faithfulness=("circuit", curve["size"].data))
    assert cpr(rising) == pytest.approx((1 - 0.001**2) / 2)
    assert cmd(rising) == pytest.approx(0.999 - (1 - 0.001**2) / 2)


def test_a_curve_ends_at_the_model_and_knows_what_pruning_left() -> None:
    pairs, graph = tiny()
    scored = graph.scored(exact(pairs, graph))
    curve = faithfulness_curve(pairs, scored)
    assert float(curve["faithfulness"][-1]) == pytest.approx(1)
    assert (curve["kept"] <= curve["size"]).all()
    circuits = [scored.top(int(size * graph.n_possible)).pruned() for size in curve["size"].data]
    assert curve["edges"].data.tolist() == [each.count for each in circuits]


def test_exact_scores_beat_their_reverse_on_held_out_pairs() -> None:
    pairs, graph = tiny(6)
    found_on, held_out = split_pairs(pairs, 0.5, seed=1)
    scored = graph.scored(exact(found_on, graph))
    ours, reverse = evaluate(scored, held_out), evaluate(score_reversed(scored), held_out)
    assert float(ours["cmd"]) < float(reverse["cmd"])
    assert ours["faithfulness"].sizes == {"ranking": 2, "circuit": 10}
    assert float(ours["cmd"]) == pytest.approx(cmd(faithfulness_curve(held_out, scored)))
    signed = faithfulness_curve(held_out, scored, absolute=False)
    assert float(ours["cpr_log"]) == pytest.approx(cpr(signed, log=True))
    assert float(ours["cpr_kept"]) == pytest.approx(cpr(signed, by="kept"))


def test_split_pairs_are_all_pairs_once() -> None:
    pairs, _ = tiny(5)
    one, other = split_pairs(pairs, 0.4)
    assert (len(one), len(other)) == (2, 3)
    together = torch.cat([one.clean_value, other.clean_value]).sort().values
    assert torch.equal(together, pairs.clean_value.sort().values)
    assert torch.allclose(one.target(pairs.model(one.clean)), one.clean_value)


def test_the_whole_model_is_complete_and_a_part_is_not() -> None:
    pairs, graph = tiny()
    assert completeness(pairs, graph, n_subsets=4)["incompleteness"].max() < 1e-10
    part = completeness(pairs, score_at_random(graph).top(20), n_subsets=4)
    assert part["incompleteness"].max() > 0.01
    assert part["members"][0] == 0


def test_without_others_gone_an_edge_is_worth_what_removing_it_costs() -> None:
    pairs, graph = tiny()
    found = minimality(pairs, graph, n_subsets=1)
    scores = exact(pairs, graph)
    expected = [scores[graph.index(*edge[:3])] for edge in graph.edges()]
    np.testing.assert_allclose(found["effect"][:, 0], expected, atol=1e-10)
    np.testing.assert_allclose(found["minimality"], np.abs(expected), atol=1e-10)
    assert found["component"].data.tolist() == [str(edge) for edge in graph.edges()]


def test_an_idle_node_can_go_whatever_else_is_gone() -> None:
    pairs, graph = tiny(idle=True)
    found = minimality(pairs, graph, level="node", n_subsets=3)["minimality"]
    assert float(found.sel(component="a1.h0")) < 1e-10 < 1e-3 < float(found.max())


@torch.no_grad()
def test_the_weights_score_of_an_edge_is_the_norm_of_their_product() -> None:
    pairs, graph = tiny()
    model = pairs.model
    scores = score_by_weights(model, graph).scores
    attn, first, ln1 = model.blocks[1].attn, model.blocks[0], model.blocks[1].ln1
    centering = torch.eye(8, dtype=torch.float64) - 1 / 8
    written = first.attn.W_O[1] @ centering * ln1.w
    expected = (written @ attn.W_K[0]).norm()
    assert float(scores[graph.index("a0.h1", "a1.h0<k>")]) == pytest.approx(float(expected))
    into_mlp = (first.mlp.W_out @ centering * model.blocks[1].ln2.w) @ (model.blocks[1].mlp.W_in)
    assert float(scores[graph.index("m0", "m1")]) == pytest.approx(float(into_mlp.norm()))

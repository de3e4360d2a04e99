# ---
# jupyter:
#   hide-toc: true
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The cat-dog switch
#
# Prisma's [announcement](https://www.lesswrong.com/posts/kobJymvvcvhbjWFKe) patches one attention
# head of a vision transformer, and a cat becomes a dog. It leaves two questions open: is it always
# one head, and how general is that head? In the terrarium both can be asked properly, because a
# scene can be drawn again with nothing changed but the animal.
#
# This page patches single heads, searches for the fewest heads that turn each answer, and asks how
# many other pairs those heads turn. It ends with a model in which one head decides by construction.

# %%
import numpy as np
import torch

import vitreous as vt
from vitreous.patching import find_switch, summarize, sweep, switch_generality
from vitreous.terrarium import compiled_model, counterfactual_pairs
from vitreous.view import HeatMap

model = vt.load("terrarium-4l")
target = model.target("cat", minus="dog")

# %% [markdown]
# ## Pairs of one scene
#
# Scenes of the test split with a cat, and the same scenes with a dog in its place: same pose, same
# background, same other objects. We keep the pairs on which the model is right about both.

# %%
scenes = counterfactual_pairs(32, kind="cat", to="dog")
with torch.no_grad():
    said = [model(x).argmax(1) for x in (scenes.clean, scenes.corrupt)]
right = (said[0] == model.labels.find("cat")) & (said[1] == model.labels.find("dog"))
cats, dogs = scenes.clean[right][:16], scenes.corrupt[right][:16]
print(f"right about both in {right.float().mean():.0%} of {len(right)} pairs; {len(cats)} kept")

# %% [markdown]
# ## One head at a time
#
# Denoising: run the dog, but give one head the output that it has on the cat. `normalized` is 1
# where that brings back all of the difference between the two pictures, and 0 where it brings
# back nothing. The map shows the mean over pairs.

# %%
swept = sweep(model, cats, dogs, target, over="heads", direction="denoise")
mean = summarize(swept)["normalized"].sel(statistic="mean").values
HeatMap(mean, caption="One head of the cat's run in the dog's", ends=("more dog", "more cat"))

# %% [markdown]
# Layer 1 carries most of it, and no head stands alone. How often does a single head turn the
# answer, so that cat outweighs dog?

# %%
patched = swept["corrupt"] + swept["effect"]
turned = (patched > 0).any(("layer", "head"))
print(f"some single head turns {int(turned.sum())} of {len(cats)} dogs into cats")

# %% [markdown]
# ## The fewest heads
#
# `find_switch` searches, pair by pair, for a small set of heads whose patching flips the sign of
# the target. It adds the head that helps most until the answer flips, drops members that the rest
# can do without, and exchanges two members for one. What it returns is minimal: no single member
# can be dropped. It says *smallest* only where it has run every smaller set as well.

# %%
found = find_switch(model, cats, dogs, target)
for pair in range(6):
    one = found.isel(pair=pair)
    proof = "smallest" if one["is_smallest"] else "minimal"
    print(
        f"{one['switch'].values!s:24} {proof}: {float(one['before']):+.1f} to "
        f"{float(one['after']):+.1f} logits, {int(one['runs'])} runs"
    )
print(f"median {np.median(found['size']):g} heads, at most {int(found['size'].max())}")

# %% [markdown]
# So a single head does it sometimes, and usually it takes two or three. Both ways of asking agree:
# a switch of one head exists exactly where the sweep found a head that turns the answer.

# %%
assert ((found["size"] == 1).values == turned.values).all()
assert (found["size"] > 0).all()
assert 1 < np.median(found["size"]) <= 3

# %% [markdown]
# ## How general is it?
#
# Each set was found on one pair. `switch_generality` patches it in all of them. `rate` is the share
# of pairs that a set turns, and `by_head` how often each head is in a pair's set.

# %%
general = switch_generality(model, cats, dogs, target, found)
for name, rate, count in zip(
    general["switch"].values[:5], general["rate"].values, general["found_on"].values, strict=False
):
    print(f"{name:32} turns {rate:.0%} of the pairs, found on {count}")
HeatMap(general["by_head"].values, caption="In how many pairs' sets a head is", ends=("", "often"))

# %% [markdown]
# Heads of layer 1 are in most sets, so the *place* is general. No set turns every pair, so the
# *switch* is not: which heads of the layer carry the difference depends on the scene. That is what
# redundancy looks like from outside, and it is why one striking pair proves little.

# %%
by_layer = general["by_head"].sum("head").values
assert by_layer.argmax() == 1
assert general["rate"].max() < 1

# %% [markdown]
# ## Where one head does decide
#
# The compiled model [`switch`](../terrarium.md) answers whether the tile with the cross is red or
# blue. Its weights are set by hand: one head finds the cross and brings its color, and nothing else
# tells. Here the search must return that head, alone, on every pair, and it does.

# %%
planted = compiled_model("switch")
clean, corrupt = planted.pairs(16, seed=1)
alone = find_switch(planted.model, clean, corrupt, planted.target)
print(planted.about)
print(sorted(set(alone["switch"].values.tolist())))

# %%
[head] = set(alone["switch"].values.tolist())
layer, number = head[1:].split("H")
writers = {e.source for e in planted.graph.edges() if e.destination == "logits"}
assert writers == {f"a{layer}.h{number}"}
assert alone["is_smallest"].all()

# %% [markdown]
# ## What this does not say
#
# - A set that turns the answer is a sufficient cause on that pair. Other sets may do as well; the
#   search returns one of them.
# - The heads may only pass on what earlier parts wrote. Which edges carry it is the question of
#   [circuits](../reference/circuits).
# - The target compares two classes. A patched run may prefer a third; without a target,
#   `find_switch` asks for the predicted class among all.
# - Denoising finds what is enough, noising what is needed. With `direction="noise"`, sets are
#   somewhat larger here: [measured](../measured) has both over 100 pairs.

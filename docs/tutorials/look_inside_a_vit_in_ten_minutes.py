# ---
# jupyter:
#   hide-toc: true
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Look inside a ViT in ten minutes
#
# A vision transformer looks at a cat and a dog, and says "cat". Which of its parts made it say so?
# This page follows one prediction from the patches to the answer, then changes things inside the
# model, and in the picture, and watches the answer change.
#
# Everything runs offline on a CPU in seconds: the model and the picture come with the package.

# %%
import torch

import vitreous as vt
from vitreous.terrarium import counterfactual, render, sample_scene

# %% [markdown]
# ## One model, one picture
#
# `terrarium-4l` is a small real ViT: 4 layers of 4 heads, trained to name the main thing in
# pictures of [the terrarium](../terrarium.md), a little world drawn by code. Its card says where it
# comes from.

# %%
model = vt.load("terrarium-4l")
print(model.card["data"])
print("right on", format(model.card["tests"]["test"]["accuracy"], ".1%"), "of held-out pictures")

# %% [markdown]
# The picture is a sample scene. Since code draws it, we know what is in every pixel.

# %%
scene = sample_scene("cat-and-dog")
drawn = render(scene)
print(drawn.caption)

picture = vt.view.Picture.of(drawn.image)
tokens = vt.view.TokenMap.of(model.layout)
vt.view.ImageGrid(picture, tokens)

# %% [markdown]
# `preprocess` takes an array of pixels, a path, a PIL image or a list of them, and always returns a
# batch: images, channels, rows, columns.

# %%
x = model.preprocess(drawn.image)
x.shape

# %% [markdown]
# ## One run, every value
#
# `run_with_cache` is a forward pass that remembers.

# %%
logits, cache = model.run_with_cache(x)


def answers(logits):
    probabilities = logits.softmax(-1)[0]
    first = probabilities.argsort(descending=True)[:3].tolist()
    return ", ".join(f"{model.labels.label(i)} {probabilities[i].item():.1%}" for i in first)


print(answers(logits))

# %% [markdown]
# The model learned from pictures with one main thing. Between two it is torn: cat, but almost dog.
# So the question of this page is: *why cat and not dog?*
#
# The cache is a dictionary of tensors. Names and shorthands are those of TransformerLens.

# %%
print(cache)
for name in ("resid_post", "q", "pattern", "post"):
    print(f"{name:<10}", list(cache[name, 2].shape))

# %% [markdown]
# A run stores some of these values and derives the others when they are read.
# [Hook names and shapes](../names_and_shapes.md) explains all of them; `model.hook_names()` lists
# those of your model.
#
# ## Tokens have places
#
# 65 tokens: one class token, and 8 × 8 patches of 12 × 12 pixels. The layout knows which is which,
# so nobody has to remember that patches start at index 1.

# %%
layout = model.layout
print(layout.names()[:4], "...", layout.names()[-1])
print("patch at row 4, column 5 is token", layout.index(row=4, column=5))
print("the head reads tokens", layout.select("readout"))

# %% [markdown]
# ## Where does a head look?
#
# A pattern is `[image, head, query, key]`. This is where the class token looks in layer 0, head 0,
# laid out on the patch grid, in percent:

# %%
seen = layout.to_grid(cache["pattern", 0][0, 0, 0])  # what the class token attends to
(100 * seen).round().int()

# %% [markdown]
# Two thirds of it go to one patch, row 4 of column 5. To see where that is, choose a head, then
# point at a patch or at the class token.

# %%
scores = cache.stack_activation("attn_scores")[:, 0]  # [layer, head, query, key]
vt.view.AttentionGallery(picture, tokens, scores, start=(0, 0))

# %% [markdown]
# It looks like the dog's snout. Here we need not trust our eyes: a rendering says how much of each
# patch every part of every object covers.


# %%
def parts_in(row, column):
    """What a patch shows, in percent of its pixels."""
    pixels = drawn.part_shares[:, 12 * row : 12 * (row + 1), 12 * column : 12 * (column + 1)]
    found = {}
    for (number, part), share in zip(drawn.parts, pixels.mean((1, 2)), strict=True):
        found[f"{scene.objects[number].kind}'s {part}"] = round(100 * float(share))
    return {part: percent for part, percent in found.items() if percent > 2}


print("there:", parts_in(4, 5))
on_cat, on_dog = (seen.numpy() * drawn.coverage(8, 8)).sum((1, 2))
print(f"of all its attention, {on_dog:.0%} lies on the dog and {on_cat:.0%} on the cat")

# %% [markdown]
# A head that looks for snouts? That is a story, not yet a finding. Attention says where a head
# reads, not what it does with that.
#
# ## What would it say by now?
#
# The logit lens asks: if the model stopped after this layer and read its answer here, what would
# it say? For the class token, layer by layer (-1 is the embedding):

# %%
lens = vt.logit_lens(model, x, cache=cache)["logit"]
read = lens.isel(image=0).sel(token="cls", label=["cat", "dog", "bird", "chicken"])
read.to_pandas().round(2)

# %% [markdown]
# The embedding of the class token is the same for every picture, so its row says nothing about this
# one. Then it says chicken, bird, and after layer 2 dog. Only the last layer makes it a cat; its
# row is the model's output.
#
# Every patch can be read in the same way. Move the slider; point at a patch for its first three
# answers.

# %%
cat, dog = model.labels.find("cat"), model.labels.find("dog")

vt.view.PatchLens(
    picture,
    tokens,
    lens.isel(image=0).values,  # [layer, token, label]
    layers=["embedding", "layer 0", "layer 1", "layer 2", "layer 3"],
    labels=model.labels.names,
    emoji=model.labels.emoji,
    followed=[cat, dog],
)

# %% [markdown]
# Do patches on the cat say "cat"? The masks know which patches those are:

# %%
says = layout.to_grid(torch.tensor(lens.isel(image=0).sel(layer=3).values.argmax(-1))).numpy()
mostly_cat, mostly_dog = drawn.coverage(8, 8) > 0.5
right = int((says[mostly_cat] == cat).sum() + (says[mostly_dog] == dog).sum())
print(f"{right} of {mostly_cat.sum() + mostly_dog.sum()} patches name the animal that they show")

# %% [markdown]
# None does. The answer is read from the class token; patches were never trained to be read, so take
# what they say as a hint, or check it.
#
# ## Who wrote the answer?
#
# Every part of the model adds a vector to the residual stream, and the head reads the sum. With the
# last norm's scale held as it was in this run, that reading is linear. So the answer splits into
# one share per part. First, say what is to be explained:

# %%
target = model.target("cat", minus="dog")
print(target.name, "=", target(logits).item())

# %%
shares = vt.direct_logit_shares(model, x, target, cache=cache)
shares.isel(image=0).to_pandas().round(3)

# %% [markdown]
# The shares add up to the target, up to the rounding of float32. What is missing is recorded.

# %%
print("sum of shares", shares.sum().item())
print("residual     ", shares.attrs["residual"])

# %% [markdown]
# Attention writes most of it: in layers 0 and 1 for the dog, in layers 2 and 3 for the cat. But
# late layers only work with what was brought to them. Direct shares can't see who brought it. For
# that, we have to change something.
#
# ## Change one value
#
# A hook gets the tensor at a point and may change it. Here the class token, in head 0 of layer 0,
# looks away from the snout:

# %%
snout = layout.index(row=4, column=5)


def look_away(pattern, hook):
    pattern[:, 0, 0, snout] = 0
    pattern[:, 0, 0] /= pattern[:, 0, 0].sum()  # the rest adds up to one again


edited = model.run_with_hooks(x, fwd_hooks=[("blocks.0.attn.hook_pattern", look_away)])
print(f"before {target(logits).item():.2f}, after {target(edited).item():.2f}")
print(answers(edited))

# %% [markdown]
# The cat's lead grows to five times what it was. What this head reads at that patch speaks for the
# dog, as the story said. One edit on one picture shows that it matters here. It doesn't show what
# the head is for.
#
# ## Take a head away
#
# Now for each head: what if it said what it says on average, instead of what it says about this
# picture? `terrarium-4l` carries the averages over training images.

# %%
effects = vt.patching.ablate_heads(model, x, target, cache=cache)
print("whose average:", effects.attrs["reference"])

by_head = vt.direct_logit_shares(model, x, target, by="head", cache=cache)
written = vt.decomposition.shares_grid(by_head, "head")

# %%
ends = ("dog", "cat")
share = written.isel(image=0).values
vt.view.HeatMap(share, caption="What each head writes", unit="logits", ends=ends)

# %%
effect = effects["effect"].isel(image=0).values
vt.view.HeatMap(effect, caption="What changes without it", unit="logits", ends=ends)

# %% [markdown]
# Blue is for the cat: above, a head that speaks for it; below, one without which it gains.
# For head 0 of layer 0 the tables agree: it writes for the dog, and without it the cat gains. For
# head 2 of layer 1 they don't, and that is the point. It, too, writes 0.6 logits for the dog. Yet
# without it the cat loses 4. It works through later layers, and against its own words. Where does
# it look?

# %%
chin = layout.to_grid(cache["pattern", 1][0, 2, 0])
print(f"{chin.max().item():.0%} at row 4, column 2:", parts_in(4, 2))

# %% [markdown]
# At the cat's chin. An intervention is a value. It can be printed, saved, combined, and narrowed to
# some tokens. Here the head is averaged at the class token alone:

# %%
ablation = vt.Ablate(vt.site("L1H2", positions="cls"), "mean", model.means)
print(ablation)

with model.intervene(ablation):
    ablated = model(x)

print(answers(ablated))

# %% [markdown]
# Thirty-two numbers are replaced by their average, and the model answers dog.
#
# ## Change the picture
#
# In this world the other side of the question is as easy: the same picture, but for one thing.
# All else stays the same, to the byte.

# %%
others = {
    "as it is": scene,
    "without the dog": counterfactual(scene, remove=True, object=1),
    "without the cat": counterfactual(scene, remove=True, object=0),
    "mirrored": counterfactual(scene, mirrored=True),
    "without color": counterfactual(scene, gray=True),
}
said = {}
for name, other in others.items():
    with torch.no_grad():
        said[name] = model(model.preprocess(render(other).image))
    print(f"{name:<16}", answers(said[name]))
without_color = model.card["tests"]["gray"]["accuracy"]
print("right on", format(without_color, ".1%"), "of held-out pictures without color")

# %% [markdown]
# The cat alone is a cat, and the dog alone just so a dog. But turn the picture around, and the
# model is sure of the cat; take the color away, and it wavers between cat and bear. So a part of
# its answer hangs on places, and a large one on colors.
#
# ## All of it on one page
#
# `explain` puts these views together for any picture, with the model, its weights' hash and its
# preprocessing in the footer. `vt.explain(model, image).save("report.html")` writes a file that
# opens anywhere; `vitreous explain` does so from the command line, for this picture or, with
# `vitreous explain picture.png`, for yours.

# %%
report = vt.explain(model, scene)
report

# %% [markdown]
# ## What this page claims
#
# Each claim above, as a line that fails if it is wrong. The build of this page runs them.

# %%
probabilities = logits.softmax(-1)[0]
assert probabilities.argsort(descending=True)[:2].tolist() == [cat, dog]
assert 0.5 < probabilities[cat] < 0.65 and probabilities[dog] > 0.35
assert layout.select("readout") == [0] and layout.n_tokens == 65
assert 0.6 < seen[4, 5] == seen.max() < 0.7
there = parts_in(4, 5)
assert max(there, key=there.get) == "dog's snout" and on_dog > 0.75 > 0.15 > on_cat
steps = lens.isel(image=0).sel(token="cls")
firsts = [model.labels.names[int(i)] for i in steps.argmax("label")]
assert firsts[1:] == ["chicken", "bird", "dog", "cat"]
assert torch.allclose(torch.tensor(steps.values[-1]), logits[0], atol=1e-5)
assert right == 0 and mostly_cat.sum() > 10 and mostly_dog.sum() > 10
assert abs(shares.sum().item() - target(logits).item()) < 1e-5
layers = shares.isel(image=0).to_pandas()
assert layers["L0A"] < -0.8 and layers["L1A"] < -0.8 and layers["L2A"] > 0.8 and layers["L3A"] > 1
assert layers.abs().nlargest(4).index.sort_values().tolist() == ["L0A", "L1A", "L2A", "L3A"]
assert edited.softmax(-1)[0, cat] > 0.8 and target(edited) > 4 * target(logits)
assert written.sel(layer=0, head=0).item() < -0.8 < 2 < effects["effect"].sel(layer=0, head=0)
assert -0.7 < written.sel(layer=1, head=2).item() < -0.5
assert -4.3 < effects["effect"].sel(layer=1, head=2) < -3.8
assert chin.max() == chin[4, 2] and set(parts_in(4, 2)) == {
    "cat's head",
    "cat's body",
    "cat's snout",
    "cat's nose",
}
assert ablated.argmax() == dog
named = {name: model.labels.names[int(each.argmax())] for name, each in said.items()}
assert named["without the dog"] == named["mirrored"] == "cat" and named["without the cat"] == "dog"
assert without_color < 0.25
assert said["mirrored"].softmax(-1)[0, cat] > 0.9
assert answers(said["without color"]).startswith("🐱 cat") and "🐻 bear" in answers(
    said["without color"]
)
assert report.prediction.startswith("🐱 cat (5") and report.target == "cat − dog"

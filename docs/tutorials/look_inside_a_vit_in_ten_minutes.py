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
# A vision transformer says "seven" to a picture. Which of its parts made it say so? This page
# follows one prediction from the patches to the answer, then changes two things inside the model
# and watches the answer change.
#
# Everything runs offline on a CPU in seconds: the model and the picture come with the package.

# %%
import torch

import vitreous as vt

# %% [markdown]
# ## One model, one picture
#
# `digits` is a small real ViT: 4 layers of 4 heads, trained on scikit-learn's handwritten digits.
# Its card says where it comes from.

# %%
model = vt.load("digits")
print(model.card["data"])
print("right on", format(model.card["tests"]["test"]["accuracy"], ".1%"), "of held-out scans")

# %% [markdown]
# The sample picture is one of the held-out scans. `preprocess` takes a path, a PIL image or a list
# of them, and always returns a batch: images, channels, rows, columns.

# %%
image = vt.data.sample("digit")
x = model.preprocess(image)
x.shape

# %% [markdown]
# ## One run, every value
#
# `run_with_cache` is a forward pass that remembers.

# %%
logits, cache = model.run_with_cache(x)
probabilities = logits.softmax(-1)[0]
for label in probabilities.argsort(descending=True)[:3].tolist():
    print(model.labels.label(label), f"{probabilities[label].item():.1%}")

# %% [markdown]
# The answer is seven, and the only other candidate is nine. So the question of this page is: *why
# seven and not nine?*
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
# 65 tokens: one class token, and 8 × 8 patches of 8 × 8 pixels. The layout knows which is which,
# so nobody has to remember that patches start at index 1.

# %%
layout = model.layout
print(layout.names()[:4], "...", layout.names()[-1])
print("patch at row 4, column 2 is token", layout.index(row=4, column=2))
print("the head reads tokens", layout.select("readout"))

# %% [markdown]
# ## Where does a head look?
#
# A pattern is `[image, head, query, key]`. This is where the class token looks in layer 1, head 3,
# laid out on the patch grid, in percent:

# %%
seen = cache["pattern", 1][0, 3, 0]  # what the class token attends to
(100 * layout.to_grid(seen)).round().int()

# %% [markdown]
# Almost all of it goes to two patches: rows 3 and 4 of column 2. To see where that is, put it on
# the picture. Choose a head, then point at a patch or at the class token.

# %%
picture = vt.view.Picture.of(model.preprocessing.inverse(x)[0])
tokens = vt.view.TokenMap.of(layout)
scores = cache.stack_activation("attn_scores")[:, 0]  # [layer, head, query, key]

vt.view.AttentionGallery(picture, tokens, scores, start=(1, 3))

# %% [markdown]
# It is the end of the short stroke on the left, where a nine would go on to close its loop. That is
# a story, not yet a finding. Attention says where a head reads, not what it does with that.
#
# ## What would it say by now?
#
# The logit lens asks: if the model stopped after this layer and read its answer here, what would
# it say? For the class token, layer by layer (-1 is the embedding):

# %%
lens = vt.logit_lens(model, x, cache=cache)
read = lens.isel(image=0).sel(token="cls", label=["seven", "nine", "five", "four"])
read.to_pandas().round(2)

# %% [markdown]
# The embedding of the class token is the same for every picture, so its row says nothing about this
# one. Seven leads from layer 0 on, while the runner-up changes: four, then five, then nine. The
# last row is the model's output.
#
# Every patch can be read in the same way. Move the slider; point at a patch for its first three
# answers. Patches were never trained to be read, so take what they say as a hint.

# %%
vt.view.PatchLens(
    picture,
    tokens,
    lens.isel(image=0).values,  # [layer, token, label]
    layers=["embedding", "layer 0", "layer 1", "layer 2", "layer 3"],
    labels=model.labels.names,
    emoji=model.labels.emoji,
    followed=[7, 9],
)

# %% [markdown]
# ## Who wrote the answer?
#
# Every part of the model adds a vector to the residual stream, and the head reads the sum. With the
# last norm's scale held as it was in this run, that reading is linear. So the answer splits into
# one share per part. First, say what is to be explained:

# %%
target = model.target("seven", minus="nine")
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
# The last MLP writes most of the difference. But an MLP only works with what was brought to it.
# Direct shares can't see who brought it. For that, we have to change something.
#
# ## Change one value
#
# A hook gets the tensor at a point and may change it. Here the class token, in head 3 of layer 1,
# looks away from that one patch where a nine would close its loop:

# %%
patch = layout.index(row=4, column=2)


def look_away(pattern, hook):
    pattern[:, 3, 0, patch] = 0
    pattern[:, 3, 0] /= pattern[:, 3, 0].sum()  # the rest adds up to one again


edited = model.run_with_hooks(x, fwd_hooks=[("blocks.1.attn.hook_pattern", look_away)])
print(f"before {target(logits).item():.2f}, after {target(edited).item():.2f}")

# %% [markdown]
# Seven's lead over nine doubles. What this head reads at that patch speaks for nine, as the story
# said. One edit on one picture shows that it matters here. It doesn't show what the head is for.
#
# ## Take a head away
#
# Now for each head: what if it said what it says on average, instead of what it says about this
# picture? `digits` carries the averages over its training images.

# %%
effects = vt.patching.ablate_heads(model, x, target, cache=cache)
print("whose average:", effects.attrs["reference"])

by_head = vt.direct_logit_shares(model, x, target, by="head", cache=cache)
written = vt.decomposition.shares_grid(by_head, "head")

# %%
ends = ("nine", "seven")
share = written.isel(image=0).values
vt.view.HeatMap(share, caption="What each head writes", unit="logits", ends=ends)

# %%
effect = effects["effect"].isel(image=0).values
vt.view.HeatMap(effect, caption="What changes without it", unit="logits", ends=ends)

# %% [markdown]
# Blue is for seven: above, a head that speaks for it; below, one without which it gains.
# The two tables disagree, and that is the point. Head 3 of layer 1 writes next to nothing into the
# answer, yet without it seven leads by 3.6 logits more. Head 3 of layer 2 writes 0.2 logits for
# seven, and 3.3 are lost when it is gone. Both work mostly through later layers.
#
# An intervention is a value. It can be printed, saved, combined, and narrowed to some tokens. Here
# head 3 of layer 2 is averaged at the class token alone:

# %%
ablation = vt.Ablate(vt.site("L2H3", positions="cls"), "mean", model.means)
print(ablation)

with model.intervene(ablation):
    ablated = model(x)

for label in (7, 9):
    print(model.labels.label(label), f"{ablated.softmax(-1)[0, label].item():.1%}")

# %% [markdown]
# Sixteen numbers are replaced by their average, and the model answers nine.
#
# ## All of it on one page
#
# `explain` puts these views together for any picture, with the model, its weights' hash and its
# preprocessing in the footer. `vt.explain(model, image).save("report.html")` writes a file that
# opens anywhere; `vitreous explain picture.png --model digits` does so from the command line.

# %%
report = vt.explain(model, image)
report

# %% [markdown]
# ## What this page claims
#
# Each claim above, as a line that fails if it is wrong. The build of this page runs them.

# %%
assert probabilities.argmax() == 7 and probabilities.argsort()[-2] == 9
assert layout.select("readout") == [0] and layout.n_tokens == 65
assert seen[[layout.index(3, 2), patch]].sum() > 0.85
lead = lens.isel(image=0).sel(token="cls", layer=[0, 1, 2, 3])
assert (lead.argmax("label") == 7).all()
assert [int(row.argsort()[-2]) for row in lead.values] == [4, 5, 9, 9]
assert torch.allclose(torch.tensor(lead.values[-1]), logits[0], atol=1e-5)
assert abs(shares.sum().item() - target(logits).item()) < 1e-5
assert shares.isel(image=0).idxmax() == "L3M"
assert target(edited) > 2 * target(logits)
assert abs(written.sel(layer=1, head=3).item()) < 0.2
assert effects["effect"].sel(layer=1, head=3) > 3.5
assert 0.2 < written.sel(layer=2, head=3).item() < 0.25
assert effects["effect"].sel(layer=2, head=3) < -3.3
assert ablated.argmax() == 9
assert report.prediction.endswith("seven (93.4%)")

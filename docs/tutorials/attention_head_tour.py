# ---
# jupyter:
#   hide-toc: true
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Interactive attention head tour
#
# What is each head for? This page scores all heads of a model, gives them the names that they
# earn, lets you look at every one, and asks whether what you see holds on other pictures. The
# names corner, edges and modulus head come from the tour that Prisma's
# [announcement](https://www.lesswrong.com/posts/kobJymvvcvhbjWFKe) made of a ViT-B/32. A later
# section plants such heads, to show what they look like and that they would be found.

# %%
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import vitreous as vt
from vitreous.heads import (
    HEAD_SCORES,
    attention_distance,
    attention_rollout,
    motif_identities,
    name_heads,
)
from vitreous.models import PoolingConfig
from vitreous.terrarium import Task, render, sample_scene
from vitreous.view import AttentionGallery, HeadImageMatrix, Picture, TokenMap

model = vt.load("terrarium-4l-mean")
tokens = TokenMap.of(model.layout)

# %% [markdown]
# ## Scores
#
# A score is measured on a data set: 70 scenes, each kind twice, with masks of their objects. Of
# most scores 0 is a head that attends to all keys alike and 1 one that does nothing but what the
# name says; a head that avoids it is below 0.

# %%
drawn = list(Task("kinds", "validation").images(model.preprocessing, 70, masks="objects"))
pixels = torch.cat([batch.pixels for batch in drawn])
masks = torch.cat([torch.as_tensor(batch.masks) for batch in drawn])
scores = vt.score_heads(model, pixels, masks=masks)
shown = ["corner", "edges", "modulus", "row", "local", "content", "foreground"]
for name in shown:
    print(f"{name:<11} {HEAD_SCORES[name].definition}")

scores["mean"].sel(score=shown).stack(at=("layer", "head")).T.to_pandas().round(2)

# %% [markdown]
# ## Names
#
# A head earns a name where its mean passes a threshold, by convention halfway to a perfect head.
# Behind the name stands the mean over pictures; `spread` is its standard deviation.

# %%
earned = name_heads(scores)
for name in earned:
    print(f"{name} ± {name.spread:.2f}" if np.isfinite(name.spread) else name)

# %% [markdown]
# Eleven of the twelve heads of layers 1 to 3 look at objects, most of all L2H1. That sounds like
# a finding. But in these scenes the main object stands near the middle, so a head that always
# looks at the middle would earn the name too. The control: score the same heads with the masks of
# *other* scenes.

# %%
others = vt.score_heads(model, pixels, masks=masks.roll(1, 0), scores=["foreground"])
there = scores["mean"].sel(score="foreground")
elsewhere = others["mean"].sel(score="foreground")
print("L2H1, masks of its own scene:  ", f"{there.sel(layer=2, head=1).item():.2f}")
print("L2H1, masks of another scene:  ", f"{elsewhere.sel(layer=2, head=1).item():.2f}")

# %% [markdown]
# So more than half of that score is earned by looking where objects usually are, and the rest by
# looking at those of this scene.
#
# ## Look
#
# Choose a head, point at a patch to see where it looks, or turn the switch to see who looks at
# it. In the matrix, rows are queries. Pin heads to see several side by side.

# %%
scene = render(sample_scene("cat-and-dog"))
picture = Picture.of(scene.image)
_, cache = model.run_with_cache(model.preprocess(scene.image))
gallery = AttentionGallery(
    picture, tokens, cache.stack_activation("attn_scores")[:, 0], start=(2, 1)
)
gallery

# %% [markdown]
# ## Does it hold on other pictures?
#
# Rows are heads and columns pictures; a cell is what the mean over all patches attends to. Behind
# each row stands how alike a head's maps are over all pairs of pictures: 1 for a head that goes
# by place, near 0 for one that goes by what is there.

# %%
pictures, attention = [], []
names = ["cat-and-dog", "cat", "dog", "fruit-bowl"]
for name in names:
    image = render(sample_scene(name)).image
    _, run = model.run_with_cache(model.preprocess(image))
    pictures.append(Picture.of(image))
    attention.append(run.stack_activation("attn_scores")[:, 0])

matrix = HeadImageMatrix.of(pictures, tokens, attention, labels=names)
matrix

# %% [markdown]
# ## From all layers to one map
#
# How far do heads look? The mean distance between a patch and those that it attends to, beside
# what uniform attention would have:

# %%
far = attention_distance(model, pixels)
print(f"uniform attention: {float(far['chance']):.2f} patches")
far["distance"].to_pandas().round(2)

# %% [markdown]
# Attention rollout multiplies the patterns of all layers, each mixed with the identity for the
# residual stream. It is a heuristic: it doesn't know what heads write. Its map is the mean over
# the patches, which is what this model's head reads.

# %%
rollout = attention_rollout(model, model.preprocess(scene.image), cache=cache)
flow = rollout[0].mean("query").values  # mean pooling reads all patches alike
flow = flow.reshape(model.layout.grid[1:])
covered = scene.coverage(8, 8).sum(0)
on_objects = float((flow * covered).sum())
print(f"rollout on cat and dog: {on_objects:.0%}, which cover {covered.mean():.0%} of the picture")
vt.view.HeatMap(
    100 * (flow - 1 / flow.size),
    row_axis="row",
    column_axis="column",
    unit="percent above an even share",
    caption="Attention rollout of the mean over patches",
)

# %% [markdown]
# ## A score is a mean over queries
#
# `terrarium-repeats` sees rows of motifs that start again, and is asked what comes next.
# `identities` says which patches show the same motif, so that scores can ask for copies.

# %%
copier = vt.load("terrarium-repeats")
task = Task("repeats", "test")
rows = torch.cat([batch.pixels for batch in task.images(copier.preprocessing, 24)])
identities = motif_identities(task, 24, copier.layout)
copies = vt.score_heads(
    copier, rows, identities=identities, scores=["offset", "duplicate", "induction"]
)
print(*name_heads(copies), sep="\n")
print(f"highest induction score: {float(copies['mean'].sel(score='induction').max()):.2f}")

# %% [markdown]
# One head looks at the patch to the left, and one behind earlier copies of the motif where it
# stands: the two steps of an induction head, in vision. But a score is a mean over all queries,
# those without an earlier copy left out, and the task asks of one: the last motif, in front of
# the question mark.

# %%
_, run = copier.run_with_cache(rows)
behind = torch.zeros(copier.cfg.n_layers, copier.cfg.n_heads)
even = 0.0
for image in range(len(rows)):
    motifs = [(thing.kind, thing.palette) for thing in task.scene(image).objects]
    shown, period = len(motifs), len(set(motifs))
    cells = list(range(shown - period, -1, -period))  # behind each earlier copy of the last motif
    keys = [copier.layout.index(row=cell // 8, column=cell % 8) for cell in cells]
    query = copier.layout.index(row=(shown - 1) // 8, column=(shown - 1) % 8)
    for layer in range(copier.cfg.n_layers):
        seen = run["pattern", layer][image, :, query]
        behind[layer] += seen[:, keys].sum(-1) / len(rows)
    even += len(keys) / (shown + 2) / len(rows)

layer, head = divmod(int(behind.argmax()), copier.cfg.n_heads)
print(f"L{layer}H{head}: {behind[layer, head].item():.0%} of its attention from there,", end=" ")
print(f"where even attention would be {even:.0%}")

# %% [markdown]
# At the query that the task asks of, it does nothing else. So a score below one says that a head
# doesn't do a thing everywhere, and nothing about single queries: `positions=` narrows the mean.
#
# ## Corner, edges and modulus heads
#
# No head of this model is one. The library's benchmarks ask the same of every shipped model of
# the terrarium, and find none.

# %%
highest = scores["mean"].sel(score=["corner", "edges", "modulus"]).max(("layer", "head"))
highest.to_pandas().round(2)

# %% [markdown]
# To see that such heads would be found, plant them. Tokens get one-hot positions, so a head can
# like any key for any query: `W_Q` hands on the query's position, and `W_K` what each query
# likes.

# %%
SIDE = 8
cfg = vt.HookedViTConfig(
    1, 64, 4, 64, n_classes=2, image_size=96, patch_size=12, cls_token=False,
    norm=None, pooling=PoolingConfig("mean", None),
)  # fmt: skip
planted = vt.HookedViT(cfg).eval()
row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
border = np.isin(row, (0, SIDE - 1)).astype(int) + np.isin(column, (0, SIDE - 1))
likes = {
    "corner": np.tile(border == 2, (64, 1)),  # [query, key]
    "edges": np.tile(border == 1, (64, 1)),
    "modulus": (column[None] - column[:, None]) % 2 == 0,
}
with torch.no_grad():
    for parameter in planted.parameters():
        parameter.zero_()
    planted.W_pos.copy_(torch.eye(64))
    attn = planted.blocks[0].attn
    for head, liked in enumerate(likes.values()):
        attn.W_Q[head] = 8 * torch.eye(64) * 64**0.5
        attn.W_K[head] = torch.tensor(liked).float().T

found = vt.score_heads(planted, pixels[:4])
print(*name_heads(found), sep="\n")

# %% [markdown]
# The fourth head has no weights and is rightly called uniform. And this is what they look like:

# %%
_, run = planted.run_with_cache(pixels[:1])
planted_scores = run.stack_activation("attn_scores")[:, 0]
AttentionGallery(picture, TokenMap.of(planted.layout), planted_scores, start=(0, 2))

# %% [markdown]
# ## Take it with you
#
# `save_gif` writes a moving picture of a head with one frame per patch that looks, as in the
# post's video of a corner head; `save_mp4` a video, and `save_png` one frame.
# `gallery.save("heads.html")` writes the viewer itself as a page that opens anywhere.
# `vt.report.head_gallery` and `head_report` put scores, names, pictures and ablations of all
# heads, or of one, on a page.

# %%
folder = Path(tempfile.mkdtemp())
written = gallery.save_gif(
    folder / "L2H1.gif", layer=2, head=1, tokens=range(24, 40), width=240, frames_per_second=4
)
moving = Image.open(written)
print(moving.n_frames, "frames,", written.stat().st_size // 1000, "kB")

# %% [markdown]
# ## On an ImageNet checkpoint
#
# The tour of the post used a ViT-B/32 on tiny ImageNet. With `pip install 'vitreous[timm]'` and a
# folder of pictures:
#
# ```python
# model = vt.load("timm:vit_base_patch32_224")
# images = vt.data.Images.from_folder("pictures", model.preprocessing)
# scores = vt.score_heads(model, images)
# print(*vt.heads.name_heads(scores), sep="\n")
#
# x = model.preprocess("picture.jpg")
# _, cache = model.run_with_cache(x)
# attn_scores = cache.stack_activation("attn_scores")[:, 0]  # 12 layers of 12 heads, 50 tokens
# vt.view.AttentionGallery(picture, TokenMap.of(model.layout), attn_scores)
# ```
#
# `AttentionGallery.capacity(n_tokens)` says how many heads a page can hold; all 144 of a ViT-B/16
# with 197 tokens fit.
#
# ## What this page claims

# %%
foreground = [(each.layer, each.head) for each in earned if each.score == "foreground"]
assert len(foreground) == 11 and all(layer > 0 for layer, _ in foreground)
highest_there = there.sel(layer=2, head=1).item()
assert highest_there == there.max().item() > 0.7
assert 0.5 < elsewhere.sel(layer=2, head=1).item() / highest_there < 0.7
assert (far["distance"] < far["chance"]).all()
assert np.isclose(flow.sum(), 1) and on_objects > covered.mean() + 0.1
assert highest.max() < 0.1
earned_by_copier = [(each.score, each.layer, each.head) for each in name_heads(copies)]
assert sorted(earned_by_copier) == [("induction", 1, 2), ("offset", 0, 1)]
assert 0.6 < copies["mean"].sel(score="induction").max() < 0.8 < 0.98 < behind.max()
assert even < 0.1 and (layer, head) == (1, 2)
assert [each.score for each in name_heads(found)] == ["corner", "edges", "modulus", "uniform"]
assert all(each.value > 0.95 for each in name_heads(found))
assert AttentionGallery.capacity(197) >= 144
assert moving.n_frames == 16

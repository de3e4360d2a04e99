# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Watch a video transformer look through time
#
# A clip is a batch of frames: `[clips, frames, channels, rows, columns]`. Its tokens are patches
# with a frame, a row and a column, and everything else is as it is for images: hooks, cache,
# targets, interventions, and sums that add up.
#
# `vt.load("hf:facebook/timesformer-base-finetuned-k400")` gives a TimeSformer, `vt.from_module` one
# that you have in memory; ViViT and VideoMAE load likewise. Nothing is downloaded here: this one
# is small and random.

# %%
import torch

import vitreous as vt
from vitreous.models import AttentionConfig, PositionConfig

torch.manual_seed(0)
cfg = vt.HookedViTConfig(
    n_layers=2, d_model=32, n_heads=4, d_mlp=64, n_classes=5, image_size=32, patch_size=8,
    n_frames=6,
    attention=AttentionConfig(space_time="divided"),
    position=PositionConfig(frames="added"),
)  # fmt: skip
model = vt.HookedViT(cfg)
clips = torch.randn(2, 6, 3, 32, 32)
logits, cache = model.run_with_cache(clips)
print(model.layout.grid, "frames, rows and columns;", model.layout.names()[:3], "...")

# %% [markdown]
# ## Two attentions in each block
#
# TimeSformer divides attention. Each patch first attends to its own place in all frames, then to
# the patches of its own frame. The block has a point of the stream between the two.

# %%
time = cache["resid_pre", 1] + cache["attn_time_out", 1]
assert torch.equal(time, cache["resid_time", 1])
assert torch.equal(time + cache["attn_out", 1], cache["resid_mid", 1])

# %% [markdown]
# ## Which frame does a place look at?
#
# Patterns are over all tokens, queries and keys, as in any model. Where nobody looks, they are
# zero: of the patch at row 1, column 2 of frame 3, six entries are left, one for each frame.

# %%
pattern = cache["pattern", 1, "attn_time"]  # [clips, heads, queries, keys]
query = model.layout.index(1, 2, frame=3)
looks = model.layout.to_grid(pattern[0, 0, query])  # frames, rows, columns of the keys
print(looks[:, 1, 2].tolist())
elsewhere = looks.sum() - looks[:, 1, 2].sum()
assert elsewhere == 0 and torch.isclose(looks.sum(), torch.tensor(1.0))

# %% [markdown]
# The same for every place at once: how much each looks back from frame 3, on the grid. (The weights
# are random: a trained model would show something here.)

# %%
patches = model.layout.select("patches")
between = pattern[:, :, patches][..., patches].unflatten(-1, (6, 16)).unflatten(-3, (6, 16))
own_place = between.diagonal(dim1=-3, dim2=-1)  # [clips, heads, query frames, key frames, places]
back = own_place[0, 0, 3, :3].sum(0)
print(back.unflatten(0, (4, 4)).numpy().round(2))

# %% [markdown]
# ## Who wrote the answer?
#
# Heads over time are components of their own: `L1T2` is head 2 of the attention over time of layer
# 1, `L1H2` that of the attention over space. The class token takes no part in time: what heads
# write there is zero, and what they say reaches it by way of the patches.

# %%
shares = vt.direct_logit_shares(model, clips, 3, by="head", cache=cache)
print(shares["component"].values[:12].tolist())
assert shares.attrs["residual"] < 1e-5
over_time = shares.where(shares["kind"] == "head_time", drop=True)
assert float(abs(over_time).max()) == 0

with model.intervene(vt.Ablate("L0T2", "zero")):
    print("without a head over time:", (model(clips) - logits).abs().max().item())
with model.intervene(vt.Ablate(vt.site("L0M", positions=(3, 1, 2)), "zero")):
    print("without what one MLP says at one patch:", (model(clips) - logits).abs().max().item())

# %%
assert model.check()

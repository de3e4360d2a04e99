# ---
# jupyter:
#   hide-toc: true
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Main demo: switch cat to dog by one head
#
# A picture with a cat and a dog, and a model that answers "cat". This page reads the answer at
# every layer, splits it into what each part wrote, looks at attention, and then puts the output
# of *one* head from a picture of the dog alone into this run. The answer becomes dog. The last
# part asks what such a switch is worth.
#
# It retraces the main demo of Prisma's
# [announcement](https://www.lesswrong.com/posts/kobJymvvcvhbjWFKe) on a model that comes with the
# package. New to the library? [](look_inside_a_vit_in_ten_minutes) goes slower.

# %%
import torch

import vitreous as vt
from vitreous.decomposition import shares_grid
from vitreous.terrarium import counterfactual, render, sample, sample_scene

model = vt.load("terrarium-4l")
scene = sample_scene("cat-and-dog")
x = model.preprocess(render(scene).image)
logits, cache = model.run_with_cache(x)


def answers(logits, count=3):
    p = logits.softmax(-1)[0]
    first = p.argsort(descending=True)[:count].tolist()
    return ", ".join(f"{model.labels.label(i)} {p[i].item():.1%}" for i in first)


picture = vt.view.Picture.of(render(scene).image)
tokens = vt.view.TokenMap.of(model.layout)
print(answers(logits))
vt.view.ImageGrid(picture, tokens)

# %% [markdown]
# What is to be explained is the cat's lead over the dog, in logits:

# %%
target = model.target("cat", minus="dog")
print(f"{target.name} = {target(logits).item():.2f}")

# %% [markdown]
# ## What does it say at each layer?
#
# The logit lens sends the stream of every layer through the model's own norm and head. For the
# class token of the last layer that is the output itself.

# %%
lens = vt.logit_lens(model, x, cache=cache)
read = lens["logit"].isel(image=0).sel(token="cls", label=["cat", "dog", "bird", "chicken"])
read.to_pandas().round(2)

# %%
vt.view.PatchLens.of(lens, picture, tokens, model.labels)

# %% [markdown]
# The class token takes the dog for the answer after layer 2, and the cat only after the last
# layer. How far to trust such a row is the subject of [](when_the_logit_lens_lies).
#
# ## Who wrote it?
#
# With the final norm's scale held as it was, the target is a sum of what heads and MLPs wrote
# into the class token. `attrs["residual"]` says how nearly it adds up.

# %%
shares = vt.direct_logit_shares(model, x, target, by="head", cache=cache)
print(f"sum {shares.sum().item():.4f}, target {target(logits).item():.4f}")
print(f"residual {shares.attrs['residual']:.1e}")
ends = ("dog", "cat")
by_head = shares_grid(shares, "head").isel(image=0).values
vt.view.HeatMap(by_head, caption="What each head writes", unit="logits", ends=ends, totals=True)

# %% [markdown]
# ## Where do heads look?
#
# Choose a head, and point at a patch or at the class token. Layer 1, head 2 is open: two thirds
# of the class token's attention lie on one patch of the cat's face.

# %%
pattern = cache["pattern", 1][0, 2, 0]
face = model.layout.index(row=4, column=2)
print(f"on the patch at row 4, column 2: {pattern[face].item():.0%}")
scores = cache.stack_activation("attn_scores")[:, 0]  # [layer, head, query, key]
vt.view.AttentionGallery(picture, tokens, scores, start=(1, 2))

# %% [markdown]
# ## One head from another picture
#
# Now a second picture: the same scene without the cat. In this world that is a change of one
# cause; the other pixels stay what they are. The model answers dog.

# %%
without_cat = counterfactual(scene, remove=True, object=0)
other_logits, other = model.run_with_cache(model.preprocess(render(without_cat).image))
print("without the cat:", answers(other_logits))

# %% [markdown]
# A head's output at the class token is 32 numbers, `hook_z`. Take them from the second run, for
# one head at a time, and run the first picture:


# %%
def patched(images, source, layer, head):
    """Logits of the pictures with one head's output at the class token from another run."""
    site = vt.site(f"L{layer}H{head}", positions="cls")
    with torch.no_grad(), model.intervene(vt.ActivationPatch(site, source)):
        return model(images)


def sweep(source):
    """Logits `[layer, head, label]` of the picture, for each head that is patched."""
    return torch.stack(
        [
            torch.stack([patched(x, source, layer, head)[0] for head in range(model.cfg.n_heads)])
            for layer in range(model.cfg.n_layers)
        ]
    )


swept = sweep(other)
effect = (target(swept.flatten(0, 1)) - target(logits)).unflatten(0, swept.shape[:2]).detach()
vt.view.HeatMap(effect, caption="One head without the cat", unit="logits", ends=ends)

# %% [markdown]
# Two heads of layer 1 stand out. Head 2 is the one that looked at the cat's face.

# %%
switched = swept[1, 2][None]
print("as it is:            ", answers(logits))
print("L1H2 without the cat:", answers(switched))

# %% [markdown]
# One head, 32 numbers, and the model says dog with 87 %.
#
# ## Would the shares have told?
#
# A natural guess is the head whose share differs most between the two pictures. It is L3H1, not
# L1H2: the share of L1H2 changes *toward the cat* when the cat is gone.

# %%
other_shares = vt.direct_logit_shares(model, x, target, by="head", cache=other)
change = (shares_grid(other_shares, "head") - shares_grid(shares, "head")).isel(image=0)
vt.view.HeatMap(
    change.values, caption="Share without the cat, minus share", unit="logits", ends=ends
)

# %% [markdown]
# Shares count what a component writes directly. To see how L1H2 acts, split the target of the
# patched run, and compare with the run as it was:

# %%
site = vt.site("L1H2", positions="cls")
with model.intervene(vt.ActivationPatch(site, other)):
    _, patched_cache = model.run_with_cache(x)

after = vt.direct_logit_shares(model, x, target, cache=patched_cache)
before = vt.direct_logit_shares(model, x, target, cache=cache)
moved = (after - before).isel(image=0).to_pandas()
moved[moved.abs() > 0.1].round(2)

# %% [markdown]
# The head's own layer, L1A, moves toward the cat. What comes later more than undoes that: each
# MLP from layer 1 on moves by more than a logit toward the dog. So L1H2 tells later parts that
# there is a cat, and they write the answer. Shares name the writers, the patch names a source,
# and neither replaces the other.
#
# ## What is the switch worth?
#
# The lead was a third of a logit: this picture was nearly switched before anybody touched it. Two
# questions decide whether the result says something of cats and dogs.
#
# **Does any foreign output switch it?** Then the picture is on an edge and the head nothing
# special. As a control, take the heads from the scene without the *dog*:

# %%
without_dog = counterfactual(scene, remove=True, object=1)
control_logits, control = model.run_with_cache(model.preprocess(render(without_dog).image))
control_swept = sweep(control)
cat, dog = model.labels.find("cat"), model.labels.find("dog")


def number_of_dogs(swept):
    return int((swept.argmax(-1) == dog).sum())


print("heads that switch it, of 16:")
print("   from the scene without the cat:", number_of_dogs(swept))
print("   from the scene without the dog:", number_of_dogs(control_swept))

# %% [markdown]
# The direction is right: no head from a dogless picture makes it a dog. But nine of sixteen heads
# from the catless picture do, as one expects of a lead so small: to switch this answer is no
# distinction.
#
# **How far does one head go where the model is sure?** Take scenes with a cat as the main thing,
# draw the same scenes with a dog in its place, and keep pairs that the model gets right. The
# effect is measured as a part of the whole difference between both pictures: 0 changes nothing, 1
# makes the cat as much of a dog as the dog is.

# %%
drawn = (sample("kinds", "test", i) for i in range(1500))
cats = [each for each in drawn if each.objects[0].kind == "cat"]
clean = model.preprocess([render(each).image for each in cats[:40]])
corrupt = model.preprocess([render(counterfactual(each, kind="dog")).image for each in cats[:40]])
with torch.no_grad():
    is_cat = model(clean).argmax(-1) == cat
    is_dog = model(corrupt).argmax(-1) == dog
clean, corrupt = clean[is_cat & is_dog], corrupt[is_cat & is_dog]
with torch.no_grad():
    leads = target(model(clean))
    dog_logits, dogs = model.run_with_cache(corrupt)
    distance = target(dog_logits) - leads


def reached(logits):
    """How far the answer came, in 0..1, for each pair; and how many say dog."""
    return (target(logits) - leads) / distance, int((logits.argmax(-1) == dog).sum())


pairs = {
    f"L{layer}H{head}": reached(patched(clean, dogs, layer, head))
    for layer in range(model.cfg.n_layers)
    for head in range(model.cfg.n_heads)
}
for layer in range(model.cfg.n_layers):
    site = vt.site(f"blocks.{layer}.attn.hook_z", positions="cls")
    with torch.no_grad(), model.intervene(vt.ActivationPatch(site, dogs)):
        pairs[f"L{layer}, all heads"] = reached(model(clean))

print(f"{len(clean)} pairs, mean lead of the cat {leads.mean().item():.1f} logits")
for name, (part, flipped) in sorted(pairs.items(), key=lambda item: -item[1][0].mean())[:6]:
    print(f"{name:<14} {part.mean():.0%} ± {part.std():.0%} of the way, {flipped} say dog")

# %% [markdown]
# The best single head goes about a fifth of the way and switches 2 of 28 answers; the spread over
# pairs is as large as the mean. All four heads of layer 1 together go more than half the way, and
# switch half of the answers. So the knowledge that it is a cat reaches the class token mostly in
# layer 1, over several heads at once. One head is enough only where the answer hung in the
# balance, and a demonstration on one picture, this one or any other, doesn't tell the two cases
# apart.
#
# ## On an ImageNet checkpoint
#
# Prisma's demo did this with a ViT-B/32 and a photo of a dog and a cat. By its account, layer 11,
# head 4 from the photo with the cat cropped away turned tabby into Border collie. With `pip
# install 'vitreous[timm]'` and a photo of your own:
#
# ```python
# model = vt.load("timm:vit_base_patch32_224.augreg_in21k_ft_in1k")
# x = model.preprocess("cat_dog.jpg")
# without_cat = model.preprocess("dog_alone.jpg")
#
# target = model.target("tabby", minus="Border collie")
# _, other = model.run_with_cache(without_cat)
# with model.intervene(vt.ActivationPatch(vt.site("L11H4", positions="cls"), other)):
#     print(answers(model(x)))
# ```
#
# That demo fed pixels in 0..1; `preprocess` normalizes them as the checkpoint was trained, so
# numbers differ. All else on this page runs as it stands, with the loops over 12 layers of 12
# heads.
#
# ## What this page claims

# %%
p = logits.softmax(-1)[0]
assert p.argmax() == cat and 0.3 < target(logits) < 0.4
tops = [
    str(lens["label"].values[int(i)]) for i in lens["logit"][0].sel(token="cls").argmax("label")
]
assert tops[-2:] == ["dog", "cat"]
assert abs(shares.sum().item() - target(logits).item()) < 1e-5 and shares.attrs["residual"] < 1e-5
assert 0.6 < pattern[face] == pattern.max() < 0.7
assert other_logits.argmax() == dog and control_logits.argmax() == cat
assert sorted(effect.flatten().argsort()[:2].tolist()) == [5, 6]  # L1H1 and L1H2
assert switched.argmax() == dog and 0.86 < switched.softmax(-1)[0, dog] < 0.88
assert change.values.argmin() == 13 and change.sel(layer=1, head=2) > 0.4  # 13 is L3H1
assert moved["L1A"] > 0.4 and moved.sum() < -4 and moved[["L1M", "L2M", "L3M"]].max() < -1
assert number_of_dogs(swept) == 9 and number_of_dogs(control_swept) == 0
assert len(clean) == 28
single = {name: part for name, part in pairs.items() if "H" in name}
assert max(part.mean() for part, _ in single.values()) < 0.2
assert max(flipped for _, flipped in single.values()) == 2
assert 0.5 < pairs["L1, all heads"][0].mean() < 0.65 and pairs["L1, all heads"][1] == 14

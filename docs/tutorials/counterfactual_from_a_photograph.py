# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How to make a counterfactual from your own photographs
#
# "What would the model say if the cat weren't there?" needs a second picture: the same one, without
# the cat. This page makes such pictures from one picture and a mask, in all the ways that the
# library has, and then asks of each the question that decides what it is worth: did the answer
# change because the cat is gone, or because the model has never seen anything like it?
#
# Nothing is downloaded here, so the photograph is a picture that comes with the package. All else
# is as you would do it: open a file, take a mask, corrupt, look.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageFilter

import vitreous as vt
from vitreous import data
from vitreous.models import without_tokens
from vitreous.patching import CleanActivations, manifold_distance
from vitreous.terrarium import Task, counterfactual, render, sample_scene

# %% tags=["remove-cell"]
# What lies on your disk already: three pictures, and masks from a segmentation tool or a brush.
folder = Path(tempfile.mkdtemp())
for name in ("cat", "dog", "fruit-bowl"):
    made = render(sample_scene(name), 288)
    Image.fromarray(made.image).save(folder / f"{name}.png")
    Image.fromarray(made.object_masks[0].astype(np.uint8) * 255).save(folder / f"{name}-mask.png")

# %%
model = vt.load("terrarium-4l")
photo, dog, bowl = (
    data.open_image(folder / f"{name}.png") for name in ("cat", "dog", "fruit-bowl")
)
drawn = data.open_image(folder / "cat-mask.png")
mask = drawn.filter(ImageFilter.MaxFilter(9))  # four pixels wider: see below
dog_mask = data.open_image(folder / "dog-mask.png")


def side_by_side(pictures):
    """All in one row."""
    sheet = Image.new("RGB", (sum(each.width + 6 for each in pictures) - 6, pictures[0].height))
    left = 0
    for each in pictures:
        sheet.paste(each, (left, 0))
        left += each.width + 6
    return sheet


def answers(x, start=None):
    with torch.no_grad():
        p = model(x, start_at_layer=start).softmax(-1)[0]
    first = p.argsort(descending=True)[:2].tolist()
    return ", ".join(f"{model.labels.label(i)} {p[i].item():.0%}" for i in first)


print(answers(model.preprocess(photo)))
side_by_side([photo, mask.convert("RGB"), dog])

# %% [markdown]
# Corruptions take a Pillow image, a uint8 array or a prepared tensor, and a mask: white or True is
# what goes. They give the same form back, and outside of the mask not a bit is changed.
#
# The mask is a little wider than the cat. A mask that ends at the outline leaves a rim of the cat's
# own pixels, which inpainting draws inward, and which tell the model more than you think.
#
# ## Take the object away
#
# | | keeps | the trouble |
# | --- | --- | --- |
# | `mean_region` | the outline | a cat-shaped hole is a shape, too |
# | `blur_region` | colors, rough shape | is it gone at all? |
# | `noise_region` | the outline | no photograph looks so |
# | `resample_region` | the outline | another picture's things are there now |
# | `inpaint_region` | the surroundings | large regions become a smear |

# %%
removed = {
    "mean": data.mean_region(photo, mask),
    "blur": data.blur_region(photo, mask, sigma=20),
    "noise": data.noise_region(photo, mask, seed=0),
    "resample": data.resample_region(photo, mask, bowl, seed=0),
    "inpaint": data.inpaint_region(photo, mask),
}
for name, picture in removed.items():
    print(f"{name:<9} {answers(model.preprocess(picture))}")
side_by_side([*removed.values()])

# %% [markdown]
# No answer is cat any more, and each is another one. None of them is *the* answer without the cat:
# the model has to say one of 35 kinds, and says what hole, noise and smear look like to it.
#
# ## Put something else there
#
# A better question has an answer that the model can give: what if it were a dog? `swap_objects`
# inpaints the cat and pastes the dog, scaled into the cat's box. `shuffle_patches` keeps all
# pixels and moves them, `paint_word` adds a word and takes nothing away.

# %%
changed = {
    "swap": data.swap_objects(photo, mask, dog, dog_mask),
    "shuffle": data.shuffle_patches(photo, 36, seed=0),  # the cells are the model's patches
    "word": data.paint_word(photo, "dog"),
}
for name, picture in changed.items():
    print(f"{name:<9} {answers(model.preprocess(picture))}")
side_by_side([*changed.values()])

# %% [markdown]
# The swap does what it should. The shuffled picture has no shape left, and it is still a cat: this
# model goes by what is in patches, and shuffling is no way to take a cat away from it. It doesn't
# read, either.
#
# Or leave the patches with the cat out of the sequence, so that nothing stands in their place.
# That is no picture any more but a shorter stream, which starts at the first block:

# %%
small = torch.from_numpy(np.array(mask.resize((96, 96))) >= 128)
with_cat = model.layout.coverage(small) > 0
dropped = without_tokens(model, model.preprocess(photo), with_cat)
print(f"{int(with_cat.sum())} of {with_cat.numel()} patches dropped: {answers(dropped, start=0)}")

# %% [markdown]
# ## How far is it from anything the model knows?
#
# Each corrupted picture moves the activations, and the cat's absence is only a part of that. Take
# some hundreds of clean pictures, here scenes of the test split. Half of them say where
# activations lie at each layer (their mean and covariance), the other half how far clean pictures
# are from there. `farther_than` is the part of these that are nearer than the corrupted picture.
# As a yardstick stands the *true* counterfactual, which only a world that is drawn has: the same
# scene with a dog in the cat's place.

# %%
scenes = Task("kinds", "test").images(model.preprocessing, 420)
clean = CleanActivations.of(model, scenes, positions="patches")
true = Image.fromarray(render(counterfactual(sample_scene("cat"), kind="dog"), 288).image)
pictures = {"photo": photo, **removed, **changed, "true counterfactual": true}
prepared = {name: model.preprocess(picture) for name, picture in pictures.items()}
prepared["dropped"] = dropped


def farther(reference):
    """Part of clean pictures that are nearer, by corruption and layer."""
    found = {n: manifold_distance(model, reference, x) for n, x in prepared.items()}
    return pd.DataFrame({n: each["farther_than"][0].to_series() for n, each in found.items()}).T


patches = farther(clean)
patches.round(2)

# %% [markdown]
# That was the mean over patches. Mean color, noise and dropped patches are farther off than
# nearly every clean picture, from the first layer on: whatever the model says there, it says about
# something that it has never met. Blur comes close to that in the last layer. The swap, the word
# and the true counterfactual are among the clean pictures, and so is the shuffled picture.
#
# The class token, which is all that the head reads, tells another story:

# %%
class_token = farther(CleanActivations.of(model, scenes))
class_token.round(2)

# %% [markdown]
# At the last layer nothing stands out but the *true* counterfactual, an odd orange dog; the collage
# is nearer than most clean pictures.
#
# ## What the numbers don't say
#
# - **Far means off; near doesn't mean on.** The distance asks whether a point lies in one
#   ellipsoid around all clean pictures of all kinds. Between the kinds there is much room that no
#   clean picture is in. The inpainted smear is called a banana with 28 %, and its distance is
#   nothing special. So is that of the shuffled picture, which nobody would call natural.
# - **Look in several places.** By its last layer the class token has digested a
#   patch of noise; the patches are far off.
# - **The scale is the clean pictures you take.** Few of them, or all of one kind, and the ellipsoid
#   is another one. With fewer pictures than the stream is wide, its covariance is mostly shrunken.
# - **A corruption that doesn't change the answer hasn't shown that the region doesn't matter.**
#   Blur leaves color, shuffling leaves texture.
#
# For patching, take the pair that is nearest to what you ask: here `photo` and the swap, equal in
# all but the cat's box. Where several corruptions agree on what causes the answer, it isn't the
# corruption's doing.

# %%
before, after = model.preprocess(photo), model.preprocess(changed["swap"])
target = model.target("cat", minus="dog")
with torch.no_grad():
    _, swapped = model.run_with_cache(after)
    ends = target(model(before)).item(), target(model(after)).item()
    reached = {}
    for layer in range(model.cfg.n_layers):
        site = vt.site(f"blocks.{layer}.attn.hook_z", positions="cls")
        with model.intervene(vt.ActivationPatch(site, swapped)):
            reached[layer] = (target(model(before)).item() - ends[0]) / (ends[1] - ends[0])
print(f"cat - dog: {ends[0]:.1f} in the photo, {ends[1]:.1f} with the dog")
for layer, part in reached.items():
    print(f"attention of layer {layer} from the picture with the dog: {part:.0%} of the way")

# %% [markdown]
# The attention of one layer carries most of it. Which heads, and on how many pairs, is a matter of
# patching proper.
#
# ## What this page claims


# %%
def answer(x, start=None):
    with torch.no_grad():
        return model.labels[model(x, start_at_layer=start).argmax().item()]


kept = np.asarray(mask) < 128
for picture in removed.values():
    assert np.array_equal(np.asarray(picture)[kept], np.asarray(photo)[kept])
says = {name: answer(x, 0 if name == "dropped" else None) for name, x in prepared.items()}
assert says["photo"] == says["shuffle"] == says["word"] == "cat"
assert says["swap"] == says["true counterfactual"] == "dog"
assert "cat" not in {says[name] for name in (*removed, "dropped")}
assert len({says[name] for name in removed}) >= 4
assert (patches.loc[["mean", "noise", "dropped"]] > 0.95).all(axis=None)
near = ["photo", "swap", "shuffle", "word", "true counterfactual"]
assert (patches.loc[near] < 0.6).all(axis=None) and 0.85 < patches.loc["blur", 3] < 1
last = class_token[3]
assert last.idxmax() == "true counterfactual" and last["swap"] < 0.3
assert ends[0] > 8 and ends[1] < -7
assert max(reached, key=reached.get) == 1 and 0.6 < reached[1] < 0.8

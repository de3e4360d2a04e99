# ---
# jupyter:
#   hide-toc: true
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Emoji logit lens
#
# Send every patch of every layer through the model's own norm and head, and write down the class
# that comes first, as an emoji. Prisma's
# [announcement](https://www.lesswrong.com/posts/kobJymvvcvhbjWFKe) showed such maps, called them
# an emergent segmentation, and asked whether some classes are identified in earlier layers than
# others. This page makes the maps, and then checks both with pictures whose truth is known.

# %%
import numpy as np
import torch

import vitreous as vt
from vitreous.lenses import emergent_segmentation_score, segmentation, when_known
from vitreous.terrarium import Task, counterfactual, render, sample_scene
from vitreous.view import PatchLens, Picture, TokenMap

by_cls = vt.load("terrarium-4l")  # its head reads the class token
by_mean = vt.load("terrarium-4l-mean")  # its head reads the mean over patches


def look(model, scene):
    """The lens on one scene."""
    lens = vt.logit_lens(model, model.preprocess(render(scene).image))
    p = torch.tensor(lens["readout"].values[0, -1]).softmax(-1)
    first = p.argsort(descending=True)[:3].tolist()
    print(", ".join(f"{model.labels.label(i)} {p[i].item():.0%}" for i in first))
    return lens


def emoji_lens(model, scene, lens):
    picture = Picture.of(render(scene).image)
    return PatchLens.of(lens, picture, TokenMap.of(model.layout), model.labels)


# %% [markdown]
# ## A cat in a toilet
#
# Move the slider or press play; click a patch for its course through the layers. Rows under the
# picture show the class token, which the answer is read from, and the patch that is held.

# %%
scene = sample_scene("cat-in-toilet")
lens = look(by_cls, scene)
emoji_lens(by_cls, scene, lens)

# %% [markdown]
# At the last layer, a third of the patches say the answer, and the others cup, snake and more.
# Now the model whose head reads the mean of all patches, on the same picture:

# %%
mean_lens = look(by_mean, scene)
emoji_lens(by_mean, scene, mean_lens)

# %% [markdown]
# It takes the picture for a bear, and more than half of its patches say so. These patches *are*
# trained to be read, and yet it is hard to find the toilet in them.
#
# ## Fruit
#
# Six fruits in a cup, a strawberry among them:

# %%
fruit = sample_scene("fruit-bowl")
fruit_lens = look(by_mean, fruit)
emoji_lens(by_mean, fruit, fruit_lens)

# %% [markdown]
# The model says strawberry, and so do many patches. In this world one can ask what they saw: take
# the strawberry away.

# %%
kinds = [thing.kind for thing in fruit.objects]
strawberry = by_mean.labels.find("strawberry")
print("in the bowl:", ", ".join(kinds))
without = counterfactual(fruit, remove=True, object=kinds.index("strawberry"))
without_lens = look(by_mean, without)


def saying(lens):
    """Where patches put the strawberry first."""
    return segmentation(lens, 3)[0].values == strawberry


on_it = render(fruit).coverage(8, 8)[kinds.index("strawberry")] > 0.5
print(f"patches that say strawberry: {saying(fruit_lens).sum()}")
print(f"those mostly on it, of {on_it.sum()}: {saying(fruit_lens)[on_it].sum()}")
print(f"patches that say strawberry without it: {saying(without_lens).sum()}")

# %% [markdown]
# More patches say strawberry when there is none. Whatever the model takes for a strawberry, it is
# made of the other fruits.

# %% [markdown]
# ## Is it a segmentation?
#
# Count it. Each pixel gets what its patch says and is compared with the class of the object that
# owns it. Beside the lens stands what must be beaten: the model's answer for the whole picture,
# said at every patch.

# %%
scenes = list(Task("kinds", "test").images(by_cls.preprocessing, 70, masks="labels"))
pixels = torch.cat([batch.pixels for batch in scenes])
masks = torch.cat([torch.as_tensor(batch.masks) for batch in scenes])
scores = {}
for model in (by_cls, by_mean):
    scores[model] = emergent_segmentation_score(vt.logit_lens(model, pixels), masks)
    print(model.card["name"])
    for layer in scores[model]["layer"].values:
        at = scores[model].sel(layer=layer)
        print(
            f"  layer {layer:>2}: mean IoU {at['mean_iou']:.1%}, pixels {at['pixel_accuracy']:.1%}"
        )
    print(f"  answer everywhere: mean IoU {scores[model]['answer_mean_iou']:.1%}", end=", ")
    print(f"pixels {scores[model]['answer_pixel_accuracy']:.1%}")

# %% [markdown]
# Both rise from layer to layer, and neither comes up to saying one answer everywhere. In the
# mean-pooled model the maps look best because nearly all patches repeat the answer, those of the
# background too. What distractors are, patches don't tell:


# %%
def rights(model):
    """Of patches of the main object, and of others, the part that says what they are."""
    right = {True: [], False: []}
    says = segmentation(vt.logit_lens(model, pixels, layers=[3]), 3).values
    for said, rendering in zip(says, renderings, strict=True):
        for number, covered in enumerate(rendering.coverage(8, 8) > 0.5):
            kind = model.labels.find(rendering.scene.objects[number].kind)
            right[number == 0].extend(said[covered] == kind)
    return np.mean(right[True]), np.mean(right[False])


renderings = [Task("kinds", "test").rendering(index) for index in range(len(pixels))]
right = {model: rights(model) for model in (by_cls, by_mean)}
for model, (main, others) in right.items():
    print(f"{model.card['name']:<18} main object {main:.0%}, distractors {others:.1%}")

# %% [markdown]
# So what the patches come to know is the answer, and not what they show. A map of emoji on a
# picture with one big thing can't tell these apart: there, the answer is what most patches show.
# Pictures of several things, masks and the baseline can. [](../measured.md) has the numbers for
# all shipped models, over thousands of scenes.
#
# ## When is it known?
#
# The first layer from which the answer stays on top, over 350 scenes, ten of each kind:

# %%
images = Task("kinds", "test").images(by_cls.preprocessing, 350)
images = vt.data.Images.from_tensor(
    torch.cat([batch.pixels for batch in images]), class_names=images.class_names
)
known = {model: when_known(model, images) for model in (by_cls, by_mean)}
for model, found in known.items():
    layers, counts = np.unique(found["known_from"].values, return_counts=True)
    print(model.card["name"], {int(layer): int(n) for layer, n in zip(layers, counts, strict=True)})

table = known[by_cls][["count", "mean", "std"]].to_dataframe().drop(columns="label_index")
table = table.sort_values("mean")
table.iloc[[0, 1, 2, -3, -2, -1]].round(2)

# %% [markdown]
# Some classes are known earlier: in the model with a class token bees and pears after layer 0,
# bears and bananas after layer 2. Is that a property of bees, or of this model? The other model,
# and a second half of the scenes, tell.

# %%
means = [known[model]["mean"].to_series() for model in (by_cls, by_mean)]
both = np.isfinite(means[0]) & np.isfinite(means[1])
rank = float(means[0][both].rank().corr(means[1][both].rank()))
print(f"rank correlation over {both.sum()} classes: {rank:.2f}")


def halves(found):
    """The same correlation between one half of the scenes and the other, in one model."""
    frame = found[["known_from", "asked"]].to_dataframe()
    by_class = [frame[start::2].groupby("asked")["known_from"].mean() for start in (0, 1)]
    return by_class[0].rank().corr(by_class[1].rank())


for model, found in known.items():
    print(f"{model.card['name']:<18} one half of the scenes and the other: {halves(found):.2f}")

# %% [markdown]
# The order is a property of the model: one half of the scenes gives nearly the order of the
# other. It is hardly one of the classes: what one model knows early, another, trained on the same
# scenes, may know late. By chance alone the first correlation would have a standard deviation of
# 0.17.
#
# ## On an ImageNet checkpoint
#
# With `pip install 'vitreous[timm]'`; ImageNet's classes bring an emoji each. `top` keeps the
# first classes of each token, so that 1000 of them need not be held:
#
# ```python
# from PIL import Image
#
# model = vt.load("timm:vit_base_patch32_224")
# x = model.preprocess("picture.jpg")
# lens = vt.logit_lens(model, x, top=5)
# cropped = model.preprocessing.crop(Image.open("picture.jpg"))
# picture = Picture.of(np.array(cropped))
# PatchLens.of(lens, picture, TokenMap.of(model.layout), model.labels)
#
# folder = vt.data.Images.from_folder("validation", model.preprocessing)
# vt.lenses.when_known(model, folder)["mean"].to_series().sort_values()
# ```
#
# ## What this page claims


# %%
def says(model, lens, kind):
    """The part of the patches of one picture that put a kind first at the last layer."""
    return (segmentation(lens, 3)[0].values == model.labels.find(kind)).mean()


def answer(lens):
    return str(lens["label"].values[int(lens["readout"][0, -1].argmax("label"))])


assert answer(lens) == "toilet" and 0.3 < says(by_cls, lens, "toilet") < 0.4
assert answer(mean_lens) == "bear" and says(by_mean, mean_lens, "bear") > 0.5
assert says(by_mean, mean_lens, "toilet") < 0.1
assert answer(fruit_lens) == answer(without_lens) == "strawberry"
assert saying(without_lens).sum() > saying(fruit_lens).sum() and not saying(fruit_lens)[on_it].any()
for found in scores.values():
    assert (np.diff(found["mean_iou"]) > 0).all()
    assert found["mean_iou"].max() < found["answer_mean_iou"]
    assert found["pixel_accuracy"].max() < found["answer_pixel_accuracy"]
assert right[by_cls][0] < 0.3 and right[by_mean][0] > 0.9
assert max(others for _, others in right.values()) < 1 / 35
assert table["mean"]["bee"] < 0.2 and table["mean"]["bear"] > 2
assert rank < 2 * 0.17 < 0.6 < min(halves(found) for found in known.values())

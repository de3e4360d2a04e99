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
# # Draw your own kind in twenty lines
#
# A kind is a function that draws with a pen, in a box from -100 to 100, x to the right and y
# down. Every outline belongs to a named part and has a tone: `main`, `light`, `dark` and `accent`
# come from the palette, `ink`, `white`, `pink`, `steel` and others are always the same.

# %%
import vitreous.terrarium as world


@world.kind("robot", "🤖", "gray blue red")
def robot(pen: world.Pen) -> None:
    hat = pen.choose("hat", "aerial", "bulb")
    pen.stroke("aerial", [(0, -60), (0, -86)], 7, "steel", line=True)
    pen.ellipse("aerial", (0, -88), 10, "yellow" if hat == "bulb" else "red")
    with pen.both_sides():
        pen.stroke("arms", [(44, 30), (76, 44), (74, 70)], 18, "accent", line=True)
        pen.box("legs", (12, 76, 36, 97), "accent", radius=6)
    pen.box("body", (-46, 14, 46, 82), radius=12)
    pen.box("dial", (-24, 32, 24, 62), "glass", radius=5)
    pen.box("head", (-56, -66, 56, 8), radius=18)
    with pen.both_sides():
        pen.ellipse("eyes", (24, -36), 15, "white")
        pen.ellipse("eyes", (23, -35), 7, "ink", line=False)
    pen.stroke("mouth", [(-22, -10), (0, -4), (22, -10)], 6, "ink")


# %% [markdown]
# That is all: it can stand in a scene, with masks of its parts.

# %%
things = tuple(
    world.Thing("robot", x, 520, 440, palette, style=style)
    for x, palette, style in ((240, "gray", 0), (740, "red", 1))
)
made = world.render(world.Scene(things, world.Background("room", seed=4)), 224)
print(made.caption)

# %% tags=["remove-input"]
from PIL import Image

Image.fromarray(made.image)

# %% [markdown]
# Kinds of your own are in no item of the tasks: those are the same for good. A counterfactual puts
# one where something else was.

# %%
scene = world.sample("kinds", "test", 1217)
swapped = world.render(world.counterfactual(scene, kind="robot"), 224)
Image.fromarray(swapped.image)

# %%
assert made.caption == "two robots indoors"
assert made.part_mask("dial", number=1).any()
assert swapped.factors["kind"] == "robot"

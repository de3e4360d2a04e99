"""The words allowed in shapes.

Shapes in annotations (`Float[Tensor, "batch tokens d_model"]`) use these words and no others, so
that one word means one thing in the whole library. A test holds every annotation to this list.
"""

AXES: dict[str, str] = {
    "batch": "images, or rows of a batch of patched runs",
    "tokens": "all tokens of the sequence: class, distillation and register tokens, and patches",
    "patches": "patch tokens only",
    "words": "tokens of a text, without a class token behind them",
    "vocabulary": "tokens that there are",
    "inputs": "what an embedding has a row for: pixels of a patch, or tokens that there are",
    "images": "images that are compared with texts",
    "texts": "texts",
    "d_embed": "width of the space in which images and texts are compared",
    "positions": "selected tokens",
    "queries": "tokens that attend",
    "keys": "tokens attended to",
    "layers": "transformer blocks",
    "heads": "attention heads of one block",
    "d_model": "width of the residual stream",
    "d_head": "width of one head's query, key and value",
    "groups": "vectors that tokens are pooled to (heads of a pooling), or groups of images",
    "d_out": "width of what a pooling writes",
    "d_pooled": "width of what the head reads",
    "d_mlp": "neurons of one MLP",
    "components": "parts of an exact sum",
    "labels": "classes of the head",
    "width": "whatever a norm runs over: the residual stream, or a head",
    "neurons": "selected MLP neurons",
    "channels": "color channels of an image",
    "rows": "pixel or patch rows",
    "columns": "pixel or patch columns",
    "pixels": "pixels of one patch, by channel, row and column",
    "objects": "objects of a scene",
    "parts": "parts of all objects of a scene",
    "owners": "what can own a sample of a drawn picture: parts or objects, and what is none",
    "frames": "frames of a clip",
    "places": "rows and columns of a frame, one after the other, and perhaps a class token",
    "left": "rows of a matrix product",
    "inner": "the contracted dimension of a matrix product",
    "right": "columns of a matrix product",
}

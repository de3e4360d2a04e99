"""Records what the package tuned-lens writes and reads, for `test_tuned_package.py`.

Run it where `tuned-lens==0.2.0` is installed: `python tests/lenses/record_tuned_lens.py`.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel
from tuned_lens.nn import TunedLens

FOLDER = Path(__file__).parent / "tuned_lens_0_2_0"


def main() -> None:
    torch.manual_seed(0)
    shape = {"n_embd": 16, "n_layer": 3, "n_head": 2, "vocab_size": 5, "n_positions": 8}
    model = GPT2LMHeadModel(GPT2Config(**shape, tie_word_embeddings=False)).eval()
    lens = TunedLens.from_model(model, model_revision="main")
    norm, head = model.transformer.ln_f, model.lm_head
    with torch.no_grad():
        for parameter in [*lens.layer_translators.parameters(), norm.weight, norm.bias]:
            parameter.normal_(0, 0.3)
        # Wide enough that one digit tells heads apart.
        head.weight.normal_(0, 3)
    lens = _with_parameters(TunedLens.from_model(model, model_revision="main"), lens)
    lens.save(FOLDER)
    streams = torch.randn(3, 2, 7, 16)
    with torch.no_grad():
        read = torch.stack([lens(stream, layer) for layer, stream in enumerate(streams)])
    tensors = {"streams": streams, "read": read, "norm.weight": norm.weight, "norm.bias": norm.bias}
    save_file({**tensors, "head.weight": head.weight}, FOLDER / "readings.safetensors")


def _with_parameters(made: TunedLens, of: TunedLens) -> TunedLens:
    made.layer_translators.load_state_dict(of.layer_translators.state_dict())
    return made


if __name__ == "__main__":
    main()

"""A real llama.cpp server with a tiny random model: an OpenAI- and Anthropic-shaped upstream nobody here wrote.

Its output is gibberish, but its counts are real, and it stops generating when its client leaves (`requests_processing`
in `/metrics`). Run by hand: `python -m tests.real.tiny_llama FILE.gguf [--embed]`, which writes
the file first; model `tiny`, key `sk-up`, loopback only.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import gguf

MODEL: Final = "tiny"
SECRET: Final = "sk-up"
WIDTH, LAYERS, HEADS, HIDDEN, CONTEXT = 64, 2, 4, 128, 32768
_SPECIAL: Final = [b"<unk>", b"<s>", b"</s>", b"<|im_start|>", b"<|im_end|>"]
_BYTES: Final = [f"<0x{i:02X}>".encode() for i in range(256)]
_SPACE: Final = "\u2581"
_PIECES: Final = [_SPACE, *'etaoinsrhldcumfwgypbvk.,0123456789{}[]":', "the", "and", "ing", "ion", "er", "re"]
_WORDS: Final = [w.encode() for w in (*_PIECES, *(_SPACE + w for w in ("the", "and", "hello", "world")))]
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_TEMPLATE: Final = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def write_model(path: Path, seed: int = 7) -> None:
    """Write a randomly initialised llama-architecture GGUF of about 0.5 MB with a byte-level vocabulary."""
    import gguf

    writer = gguf.GGUFWriter(str(path), "llama")
    _describe(writer)
    _tokenize(writer)
    _fill(writer, seed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_file_type(0)


def _tokenize(writer: gguf.GGUFWriter) -> None:
    tokens = [*_SPECIAL, *_BYTES, *_WORDS]
    types = [_UNKNOWN] + [_CONTROL] * (len(_SPECIAL) - 1) + [_BYTE] * len(_BYTES) + [_NORMAL] * len(_WORDS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(_SPECIAL) + [-1000.0] * len(_BYTES) + [-float(i) for i in range(len(_WORDS))])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(4)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)  # with a prefix, JSON-schema requests are refused
    writer.add_chat_template(_TEMPLATE)


def _fill(writer: gguf.GGUFWriter, seed: int) -> None:
    import numpy as np

    rng = np.random.default_rng(seed)

    def random(name: str, *shape: int, scale: float | None = None) -> None:
        values = rng.standard_normal(shape, dtype=np.float32) * (scale or shape[-1] ** -0.5)
        writer.add_tensor(name, values.astype(np.float32))

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    vocabulary = len(_SPECIAL) + len(_BYTES) + len(_WORDS)
    random("token_embd.weight", vocabulary, WIDTH, scale=1.0)
    ones("output_norm.weight")
    random("output.weight", vocabulary, WIDTH, scale=0.5)
    for block in (f"blk.{i}." for i in range(LAYERS)):
        ones(block + "attn_norm.weight")
        ones(block + "ffn_norm.weight")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            random(f"{block}{name}.weight", WIDTH, WIDTH)
        random(block + "ffn_gate.weight", HIDDEN, WIDTH)
        random(block + "ffn_up.weight", HIDDEN, WIDTH)
        random(block + "ffn_down.weight", WIDTH, HIDDEN)


@contextlib.contextmanager
def running_llama(directory: Path, *, embeddings: bool = False) -> Iterator[str]:
    """The origin (`http://127.0.0.1:PORT`) of a llama.cpp server in a child process, until the block ends."""
    command = [sys.executable, "-m", "tests.real.tiny_llama", str(directory / "tiny.gguf")]
    if embeddings:
        command.append("--embed")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            assert child.stdout is not None
            yield next(line for line in child.stdout if line.startswith("listening on ")).split()[-1]
        finally:
            child.kill()


def _parameters(model: Path, *, embeddings: bool) -> Any:
    import xllamacpp

    p = xllamacpp.CommonParams()
    p.model.path = str(model)
    p.model_alias = {MODEL}
    p.api_keys = [SECRET]
    p.hostnames = ["127.0.0.1"]
    p.port = 0
    p.offline = True
    p.n_ctx = 16384
    p.n_parallel = 4
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
    p.n_threads_http = 4
    p.warmup = p.fit_params = False
    p.endpoint_metrics = p.use_jinja = True
    if embeddings:
        p.embedding = True
        p.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return p


def main() -> None:
    import xllamacpp

    model = Path(sys.argv[1])
    write_model(model)
    server = xllamacpp.Server(_parameters(model, embeddings="--embed" in sys.argv))
    print("listening on", server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()

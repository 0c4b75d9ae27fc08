"""Video models of a few thousand random weights, whole and saved as any other, and tiny real clips.

    folder = tiny_wan(tmp_path / "wan")        # WanPipeline.from_pretrained(folder) loads it

They make noise, and that in a second: what a family's class says of packing, signs and names is
the same for them as for the models of their kind that people use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

WORDS = ("a", "the", "red", "green", "blue", "square", "circle", "moves", "jumps", "left", "right")
WIDTH = 16


def tiny_wan(
    folder: Path, *, experts: bool = False, per_token: bool = False, shift: float = 3.0
) -> Path:
    """Wan 2.1; with ``experts`` like 2.2-A14B, with ``per_token`` like 2.2-TI2V-5B."""
    from diffusers import (
        AutoencoderKLWan,
        UniPCMultistepScheduler,
        WanPipeline,
        WanTransformer3DModel,
    )

    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[1.5, 0.5, 2.0, 1.0],
    )
    denoisers = [
        WanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=4,
            out_channels=4,
            text_dim=WIDTH,
            freq_dim=16,
            ffn_dim=32,
            num_layers=2,
            rope_max_seq_len=32,
        )
        for _ in range(1 + experts)
    ]
    pipeline = WanPipeline(
        tokenizer=_tokenizer(),
        text_encoder=UMT5EncoderModel(UMT5Config(**_T5)).eval(),
        vae=vae,
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
        ),
        transformer=denoisers[0],
        transformer_2=denoisers[1] if experts else None,
        boundary_ratio=0.875 if experts else None,
        expand_timesteps=per_token,
    )
    return _saved(pipeline, folder)


def tiny_cogvideox(folder: Path, *, rotary: bool = True, patch_frames: int | None = None) -> Path:
    """CogVideoX 5B; without ``rotary`` 2B, with ``patch_frames`` 1.5."""
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDDIMScheduler,
        CogVideoXPipeline,
        CogVideoXTransformer3DModel,
    )

    torch.manual_seed(0)
    pipeline = CogVideoXPipeline(
        tokenizer=_tokenizer(),
        text_encoder=T5EncoderModel(T5Config(**_T5)).eval(),
        vae=AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8),
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=2,
            sample_height=32,
            sample_width=32,
        ),
        transformer=CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=4,
            time_embed_dim=8,
            text_embed_dim=WIDTH,
            num_layers=2,
            sample_width=8,
            sample_height=8,
            sample_frames=5,
            patch_size=2,
            patch_size_t=patch_frames,
            patch_bias=patch_frames is None,
            temporal_compression_ratio=4,
            max_text_seq_length=226,
            use_rotary_positional_embeddings=rotary,
        ),
        scheduler=CogVideoXDDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            clip_sample=False,
            snr_shift_scale=1.0 if rotary else 3.0,
        ),
    )
    return _saved(pipeline, folder)


def tiny_ltx(folder: Path) -> Path:
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXPipeline,
        LTXVideoTransformer3DModel,
    )

    torch.manual_seed(0)
    vae = AutoencoderKLLTXVideo(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
    )
    vae.latents_mean.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
    vae.latents_std.copy_(torch.tensor([1.5, 0.5, 2.0, 1.0]))
    pipeline = LTXPipeline(
        tokenizer=_tokenizer(),
        text_encoder=T5EncoderModel(T5Config(**_T5)).eval(),
        vae=vae,
        transformer=LTXVideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=12,
            cross_attention_dim=24,
            num_layers=2,
            caption_channels=WIDTH,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True,
            base_image_seq_len=1024,
            max_image_seq_len=4096,
            base_shift=0.95,
            max_shift=2.05,
            shift_terminal=0.1,
        ),
    )
    return _saved(pipeline, folder)


def tiny_hunyuan_video(folder: Path) -> Path:
    from diffusers import (
        AutoencoderKLHunyuanVideo,
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideoPipeline,
        HunyuanVideoTransformer3DModel,
    )

    torch.manual_seed(0)
    words, pooled = _tokenizer(), _tokenizer()
    clip = CLIPTextConfig(
        vocab_size=len(pooled),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        projection_dim=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
    )
    llama = LlamaConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        pad_token_id=0,
        max_position_embeddings=1024,
    )
    pipeline = HunyuanVideoPipeline(
        text_encoder=LlamaModel(llama).eval(),
        tokenizer=words,
        text_encoder_2=CLIPTextModel(clip).eval(),
        tokenizer_2=pooled,
        vae=AutoencoderKLHunyuanVideo(
            latent_channels=4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            norm_num_groups=4,
        ),
        transformer=HunyuanVideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            text_embed_dim=WIDTH,
            pooled_projection_dim=8,
            rope_axes_dim=(4, 4, 4),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )
    return _saved(pipeline, folder)


VIDEO_FAMILIES: dict[str, Callable[[Path], Path]] = {
    "wan": tiny_wan,
    "cogvideox": tiny_cogvideox,
    "ltx_video": tiny_ltx,
    "hunyuan_video": tiny_hunyuan_video,
}


def moving_square(
    *,
    frames: int = 9,
    size: tuple[int, int] = (64, 48),
    step: int = 2,
    colour: int = 0,
    top: int = 12,
) -> list[np.ndarray]:
    """A coloured square that goes right, ``step`` pixels a frame; size is width, height."""
    pictures = []
    for number in range(frames):
        picture = np.full((size[1], size[0], 3), 40, np.uint8)
        left = (4 + step * number) % (size[0] - 16)
        picture[top : top + 16, left : left + 16, colour] = 230
        pictures.append(picture)
    return pictures


def write_clip(path: Path, frames: Iterable[np.ndarray], *, rate: int = 8) -> Path:
    """An H.264 MP4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = None
        for picture in frames:
            if stream is None:
                options = {"x264-params": "rc-lookahead=0:bframes=0", "threads": "1"}
                stream = container.add_stream("libx264", rate=Fraction(rate), options=options)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


_T5 = {
    "vocab_size": 40,
    "d_model": WIDTH,
    "d_kv": 8,
    "d_ff": 16,
    "num_layers": 1,
    "num_heads": 2,
    "pad_token_id": 0,
    "eos_token_id": 1,
}


def _tokenizer() -> PreTrainedTokenizerFast:
    """Knows a few words; each text ends with its own mark."""
    known = {token: number for number, token in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    inner = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )


def _saved(pipeline: Any, folder: Path) -> Path:
    pipeline.save_pretrained(folder)
    return folder

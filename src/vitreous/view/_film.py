"""Moving pictures: GIF through Pillow, MP4 through PyAV."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from PIL import Image

from vitreous._optional import needs

_FASTEST_GIF = 50  # frames per second; browsers show a faster one at ten
_QUALITY = "14"  # of H.264, from 0 (exact) to 51


def write_gif(path: Path, frames: Iterator[Image.Image], frames_per_second: float) -> None:
    """Writes frames that repeat for ever, each with 256 colors of its own."""
    _must_be_a_speed(frames_per_second, _FASTEST_GIF)
    first, *others = (_reduced(frame) for frame in frames)
    first.save(
        path,
        "GIF",
        save_all=True,
        append_images=others,
        duration=round(100 / frames_per_second) * 10,  # whole hundredths of a second
        loop=0,
        disposal=1,
    )


def write_mp4(path: Path, frames: Iterator[Image.Image], frames_per_second: float) -> None:
    """Writes H.264 with the colors of high-definition video, as every browser plays it."""
    _must_be_a_speed(frames_per_second, 1000)
    av = needs("av", extra="view", feature="AttentionGallery.save_mp4")
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        rate = Fraction(frames_per_second).limit_denominator(1000)
        stream = container.add_stream("h264", rate=rate, options={"crf": _QUALITY})
        for i, frame in enumerate(frames):
            if not i:
                stream.width, stream.height, stream.pix_fmt = *frame.size, "yuv420p"
                context = stream.codec_context
                context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
                context.color_range = 1  # limited
            video = av.VideoFrame.from_image(frame)
            video = video.reformat(format="yuv420p", dst_colorspace="ITU709")
            container.mux(stream.encode(video))
        container.mux(stream.encode())


def _reduced(frame: Image.Image) -> Image.Image:
    return frame.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def _must_be_a_speed(frames_per_second: float, most: float) -> None:
    if not 0 < frames_per_second <= most:
        raise ValueError(
            f"`frames_per_second` must lie above 0 and at most at {most}; "
            f"got {frames_per_second}. Pass 10."
        )

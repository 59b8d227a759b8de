"""A day of the grid as an animation.

Plays one episode and writes what the environment draws (`render_mode="rgb_array"`) to a GIF or WebP
file.

    python -m benchmarks.animate --out grid.gif [--policy panda_analysis] [--hours 24] [--frames 60]
"""

import argparse
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image
from tqdm import tqdm

import pandaenv  # noqa: F401  registers the environment
from benchmarks.inputs import candidates
from benchmarks.inputs.arguments import command, command_parser, new_file, positive, whole
from foundations.units import HOUR_S
from pandaenv import policies
from pandaenv.env.picture import COLOURS

ENV_ID = "PandaSiteAllocation-v0"
N_COLOURS = 48
KINDS = (".gif", ".webp")


def frames(env: gym.Env, policy, seed: int, hours: float, n: int, window: int) -> list[np.ndarray]:
    """Play one episode; n images of it, evenly spaced over its first hours (fewer if it ends)."""
    played = policies.steps(env, policy, seed, window)
    world = env.unwrapped.worlds.world[0]
    begin, images = float(world["now"]), [env.render()]
    with tqdm(total=n, desc="frames", initial=1) as progress:
        for step in played:
            if step.is_last or len(images) == n:
                break
            if world["now"] - begin >= hours * HOUR_S * len(images) / n:
                images.append(env.render())
                progress.update()
    return images


def write(images: list[np.ndarray], path: Path, fps: float, width: int) -> Path:
    """Write the images as one animated file that repeats for ever."""
    height = round(images[0].shape[0] * width / images[0].shape[1])
    pictures = [Image.fromarray(i).resize((width, height), Image.LANCZOS) for i in images]
    lasting = {"save_all": True, "duration": round(1000 / fps), "loop": 0}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".webp":
        pictures[0].save(path, append_images=pictures[1:], quality=60, method=4, **lasting)
        return path
    palette = _palette(pictures[-1])  # one for all, so that what stands still costs nothing
    flat = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    flat[0].save(path, append_images=flat[1:], optimize=True, **lasting)
    return path


def _palette(picture: Image.Image) -> Image.Image:
    """Colours of a picture, those of small marks included."""
    swatches = Image.new("RGB", (picture.width, 2 * picture.height), "white")
    swatches.paste(picture, (0, 0))
    step = picture.width // len(COLOURS)
    for i, colour in enumerate(COLOURS.values()):
        box = (i * step, picture.height, (i + 1) * step, 2 * picture.height)
        swatches.paste(colour, box)
    return swatches.quantize(N_COLOURS)


def main(argv: list[str] | None = None) -> None:
    """Play, draw, write, and say how large the file is."""
    args = _parser().parse_args(sys.argv[1:] if argv is None else argv)
    if args.out.suffix not in KINDS:
        raise ValueError(f"--out must end in {' or '.join(KINDS)}, got {args.out}")
    env = gym.make(
        args.env,
        render_mode="rgb_array",
        workload=args.workload,
        load=args.load,
        scenario=args.scenario,
    )
    policy = candidates.policy(args.policy).policy
    images = frames(env, policy, args.seed, args.hours, args.frames, args.window)
    path = write(images, args.out, args.fps, args.width)
    print(f"{path}: {len(images)} frames, {path.stat().st_size / 1e6:.2f} MB")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("animate", __doc__)
    parser.add_argument("--out", type=new_file, required=True, help="file to write, .gif or .webp")
    parser.add_argument("--env", default=ENV_ID, help="environment (default %(default)s)")
    parser.add_argument("--workload", default="tabddpm", help="name or file (default %(default)s)")
    parser.add_argument("--load", type=positive, default=0.6, help="offered work over capacity")
    parser.add_argument("--scenario", default="normal", help="scenario (default %(default)s)")
    parser.add_argument("--policy", default="panda_analysis", help=candidates.POLICY_HELP)
    parser.add_argument("--window", type=whole(0), default=0, help="window of the stream")
    parser.add_argument("--hours", type=positive, default=24.0, help="simulated time shown")
    parser.add_argument("--frames", type=whole(1), default=60, help="images (default %(default)s)")
    parser.add_argument("--fps", type=positive, default=8.0, help="frames a second")
    parser.add_argument("--width", type=whole(1), default=720, help="pixels")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the episode")
    return parser


if __name__ == "__main__":
    command(main)

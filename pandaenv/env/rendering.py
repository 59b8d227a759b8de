"""Rendering of a grid in one of the modes of Gymnasium: text, an image, or a window.

In: (grid, worlds, w) as the kernels take them, and the catalogue that names the sites. Out: a
screen of text (`pandaenv.env.screen`), an image (`pandaenv.env.picture`), or nothing but the image
in a window. Nothing of the grid is changed.
"""

import numpy as np

from pandaenv.simulator.state import Grid, Worlds
from pandaenv.sites import Catalogue

from .picture import DPI, HEIGHT, WIDTH, picture
from .screen import screen

MODES = ("ansi", "rgb_array", "human")
WINDOW = "PandaSiteAllocation"


def render(
    mode: str, grid: Grid, worlds: Worlds, w: int, catalogue: Catalogue
) -> str | np.ndarray | None:
    """World w in one of MODES: text, an image, or None after showing the image in a window."""
    if mode == "ansi":
        return screen(grid, worlds, w, catalogue)
    image = picture(grid, worlds, w, catalogue)
    return show(image) if mode == "human" else image


def show(image: np.ndarray) -> None:
    """Show the image in the one window of this process; without a display, do nothing."""
    import matplotlib.pyplot as plt

    figure = plt.figure(WINDOW, figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    if figure.images:
        figure.images[0].set_data(image)
    else:
        figure.figimage(image)
    if figure.canvas.required_interactive_framework:
        plt.show(block=False)
        figure.canvas.draw_idle()
        figure.canvas.flush_events()


def close() -> None:
    """Close the window if there is one."""
    import matplotlib.pyplot as plt

    plt.close(WINDOW)

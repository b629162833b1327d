"""The page: where a file is dropped, and what is shown of it."""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import numpy as np

from ..datasets.images import read_image
from ..errors import UserError
from ..visualize import draw_window_attention
from .prediction import Prediction, Predictor
from .uploads import check_upload

_SYSTEM_FONTS = dict(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])
THEME = gr.themes.Default(**_SYSTEM_FONTS)
"""With fonts of the system: nothing is fetched from elsewhere."""


def build_page(predictor: Predictor, title: str, note: str, megabytes: float, megapixels: float) -> gr.Blocks:
    """Lays out the page.

    Args:
        predictor: The model.
        title: What is shown, for the page's head.
        note: A sentence below it, or nothing.
        megabytes: What a file may have at most.
        megapixels: What an image may have at most.

    Returns:
        The page, not yet served.
    """
    one_at_a_time = threading.Lock()  # hooks see the forward pass of one image

    def look(file: str | None, block: str, head: int) -> tuple[Any, ...]:
        if file is None:
            return None, None, gr.Label(visible=False), '', None
        with one_at_a_time:
            try:
                check_upload(file, megabytes, megapixels)
                image = read_image(file)
                prediction = predictor(file)
            except UserError as error:
                message = str(error).replace(file, Path(file).name)
                raise gr.Error(message, duration=None, print_exception=False) from None
            picture = _draw_attention(predictor, file, block, head, (0.5, 0.5))
        classes = gr.Label(prediction.classes, label=f'Classes: {prediction.meaning}', visible=bool(prediction.classes))
        return image, prediction.picture, classes, _table(prediction), picture

    def attend(file: str | None, block: str, head: int, point: tuple[float, float] = (0.5, 0.5)) -> Any:
        if file is None:
            return None
        with one_at_a_time:
            return _draw_attention(predictor, file, block, head, point)

    def choose(file: str | None, block: str, head: int, image: np.ndarray, event: gr.SelectData) -> Any:
        return attend(file, block, head, (event.index[0] / image.shape[1], event.index[1] / image.shape[0]))

    blocks = list(predictor.heads)
    first = next(name for name in blocks if name.startswith('stages.2') or name == blocks[-1])
    view: dict[str, Any] = dict(height=360, buttons=['download', 'fullscreen'])  # none that sends it to anybody
    with gr.Blocks(title=f'{title} - mmsepvit', analytics_enabled=False) as page:
        gr.Markdown(f'# {title}\n{note}Drop an image of up to {megabytes:g} MB and {megapixels:g} million pixels.')
        file = gr.File(label='Drop an image here', type='filepath', elem_id='upload', height=110)
        with gr.Row():
            image = gr.Image(label='Image: click to choose a window', interactive=False, elem_id='image', **view)
            picture = gr.Image(
                label='Features' if note else 'Prediction', interactive=False, elem_id='prediction', **view
            )
        with gr.Row():
            with gr.Column(min_width=280):
                classes = gr.Label(elem_id='classes', num_top_classes=8, visible=False)
                times = gr.Markdown(elem_id='times')
            with gr.Column(scale=2):
                with gr.Row():
                    block = gr.Dropdown(blocks, value=first, label='Window attention of block', elem_id='block')
                    head = gr.Dropdown(list(range(predictor.heads[first])), value=0, label='Head', elem_id='head')
                attention = gr.Image(show_label=False, interactive=False, elem_id='attention', buttons=view['buttons'])
        quiet = dict(api_visibility='private')
        file.change(look, [file, block, head], [image, picture, classes, times, attention], **quiet)
        block.input(lambda name: gr.Dropdown(list(range(predictor.heads[name])), value=0), block, head, **quiet).then(
            attend, [file, block, head], attention, **quiet
        )
        head.input(attend, [file, block, head], attention, **quiet)
        image.select(choose, [file, block, head, image], attention, **quiet)
    return page


def _table(prediction: Prediction) -> str:
    compared = any(timing.difference is not None for timing in prediction.timings)
    lines = ['| time | ms |' + ' largest difference |' * compared, '| --- | --- |' + ' --- |' * compared]
    for timing in prediction.timings:
        difference = '' if timing.difference is None else f'{timing.difference:.0e}'
        lines.append(f'| {timing.name} | {timing.milliseconds:.1f} |' + f' {difference} |' * compared)
    return '\n'.join(lines)


def _draw_attention(predictor: Predictor, file: str, block: str, head: int, point: tuple[float, float]) -> np.ndarray:
    image, attentions = predictor.attention(file)
    chosen = next(attention for attention in attentions if attention.name == block)
    pixels = (point[0] * image.shape[1], point[1] * image.shape[0])
    with TemporaryDirectory() as folder:
        drawn = Path(folder) / 'attention.png'
        draw_window_attention(chosen, image, pixels, drawn, [head])
        return read_image(str(drawn))

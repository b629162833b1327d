"""The page in a real browser: served by the tool, opened, and a file dropped on it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from random_runs import random_run

from mmsepvit.cli.command import run_command
from mmsepvit.cli.web_demo import main

ROOT = Path(__file__).parents[2]


def test_a_config_needs_its_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, ['some_config.py']) == 2
    assert "a checkpoint is to follow the config 'some_config.py'" in capsys.readouterr().err


@pytest.fixture(scope='module')
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page, with a segmentor of random weights."""
    pytest.importorskip('gradio')
    folder = tmp_path_factory.mktemp('page')
    files = random_run('upernet_sepvit_lite_ade20k', folder)
    command = [sys.executable, '-u', str(ROOT / 'tools/web_demo.py'), *files, '--port', '0', '--max-megabytes', '1']
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
    ) as server:
        try:
            lines = []
            for line in server.stdout:
                lines.append(line)
                found = re.search(r'http://127\.0\.0\.1:\d+', line)
                if found:
                    break
            else:
                pytest.fail(''.join(lines))
            yield found.group()
        finally:
            server.terminate()


@pytest.fixture
def page(served: str) -> Iterator[Any]:
    playwright = pytest.importorskip('playwright.sync_api')
    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    if chromium is None:
        pytest.skip('there is no chromium')
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        opened = browser.new_page()
        opened.asked = []
        opened.on('request', lambda request: opened.asked.append(request.url))
        opened.goto(served)
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def drop(page: Any, file: Path) -> None:
    page.wait_for_selector('#upload input[type=file]', state='attached')
    page.set_input_files('#upload input[type=file]', str(file))


def photo(folder: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 84, 3), np.uint8)).save(folder / 'photo.png')
    return folder / 'photo.png'


def test_it_listens_on_this_machine_alone(served: str) -> None:
    port = int(served.rsplit(':', 1)[1])
    with socket.create_connection(('127.0.0.1', port), timeout=5):
        pass
    with pytest.raises(OSError):  # noqa: PT011 - another address of this very machine
        socket.create_connection(('127.0.0.2', port), timeout=5)


def test_an_image_is_dropped_and_its_prediction_is_seen(page: Any, served: str, tmp_path: Path) -> None:
    drop(page, photo(tmp_path))
    times = page.wait_for_selector('#times table').inner_text()
    assert 'PyTorch, whole model' in times
    assert 'Classes: share of the pixels' in page.wait_for_selector('#classes').inner_text()
    for part in ('image', 'prediction', 'attention'):
        page.wait_for_selector(f'#{part} img')
    sizes = page.eval_on_selector('#prediction img', 'image => [image.naturalWidth, image.naturalHeight]')
    assert sizes == [84, 60]
    # A click on the image chooses another window.
    before = page.get_attribute('#attention img', 'src')
    box = page.locator('#image img').bounding_box()  # the image stands in its middle, in its own size
    page.mouse.click(box['x'] + box['width'] / 2 - 35, box['y'] + box['height'] / 2 - 25)
    page.wait_for_function('before => document.querySelector("#attention img").src != before', arg=before)
    assert all(url.startswith((served, 'data:', 'blob:')) for url in page.asked)


def test_a_bad_file_is_answered_in_words(page: Any, tmp_path: Path) -> None:
    (tmp_path / 'text.png').write_text('hello')
    drop(page, tmp_path / 'text.png')
    assert 'This file is not an image' in page.wait_for_selector('.toast-body').inner_text()


def test_a_large_file_is_answered_in_words(page: Any, tmp_path: Path) -> None:
    (tmp_path / 'large.png').write_bytes(bytes(2**20 + 1))
    drop(page, tmp_path / 'large.png')
    assert 'exceed the maximum allowed size' in page.wait_for_selector('.toast-body').inner_text()

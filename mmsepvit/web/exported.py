"""An exported file beside the model, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import UserError


class ExportedFile:
    """An ONNX file of one input, images (B, 3, H, W).

    Args:
        path: Path of the file.

    Raises:
        UserError: ONNX Runtime is not installed, or cannot read the file.
    """

    def __init__(self, path: str) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise UserError('--exported: ONNX Runtime is not installed: pip install onnxruntime') from None
        if not Path(path).is_file():
            raise UserError(f"--exported: there is no file '{path}'.")
        try:
            self._session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
        except Exception as error:  # of no common class
            raise UserError(f"--exported: ONNX Runtime cannot read '{path}': {str(error).splitlines()[0]}") from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise UserError(f"--exported: '{path}' has {len(inputs)} inputs; the images alone are given to it.")
        self._input = inputs[0]
        self.name = f'ONNX Runtime {onnxruntime.__version__}'

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """The file's outputs for images (B, 3, H, W).

        Raises:
            UserError: The file is bound to another size.
        """
        wanted = [side if isinstance(side, int) else found for side, found in zip(self._input.shape, images.shape)]
        if wanted != list(images.shape):
            raise UserError(
                f'The exported file takes images of the shape {tuple(wanted)} alone, and this one comes to it as '
                f'{images.shape}: export with --dynamic size.'
            )
        return self._session.run(None, {self._input.name: images})

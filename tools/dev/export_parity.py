"""Exports backbones by every exporter and compares them with PyTorch at other sizes; docs/export.md has the table."""

from __future__ import annotations

import argparse
import itertools
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmsepvit import SepViT
from mmsepvit.export.agreement import difference
from mmsepvit.export.runtimes import open_file
from mmsepvit.export.write import write_onnx, write_torchscript

KINDS: dict[str, dict] = {
    'zero': dict(window_token='zero'),
    'shared': dict(window_token='shared'),
    'learnable': dict(window_token='learnable'),
    'classifier': dict(window_token='learnable', out_indices=(3,), single_window_psa=False),
}
TRACED = {'224x224': (224, 224), '97x131': (97, 131)}
SIZES = ((1, 1), (7, 5), (33, 33), (97, 131), (200, 330), (224, 224), (225, 449), (512, 512))
BATCHES = (1, 3)
LEAST = 33
"""The smallest height and width that an exported program is asked for: `torch.export` proves what holds for all sizes
from a bound on, and below 33 pixels some map has one row of pixels."""
OPERATORS = frozenset(
    (
        *('Add', 'Concat', 'Constant', 'ConstantOfShape', 'Conv', 'Div', 'Equal', 'Erf', 'Expand', 'Gather', 'Gemm'),
        *('LayerNormalization', 'MatMul', 'Mul', 'Pad', 'Pow', 'ReduceMean', 'Reshape', 'Resize', 'Shape', 'Slice'),
        *('Softmax', 'Split', 'Sqrt', 'Squeeze', 'Sub', 'Transpose', 'Unsqueeze', 'Where'),
    )
)
"""What files of SepViT may be made of; TensorRT 10 has all of it. docs/export.md lists it too."""

Called = Callable[[Tensor], Sequence[Tensor]]


def randomised(model: SepViT) -> SepViT:
    """The model in evaluation mode, its tokens, norms and biases far from their initial zeros and ones."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim in (1, 3):
            nn.init.normal_(parameter, 0.5, 0.3)
    return model.eval()


def make(kind: str, arch: str = 'lite') -> SepViT:
    """A SepViT of random weights."""
    torch.manual_seed(0)
    return randomised(SepViT(arch, **KINDS[kind]))


def names(model: SepViT) -> list[str]:
    """Names of the outputs."""
    return [f'feature{i}' for i in model.out_indices]


def _opened(file: Path, backend: str) -> Called:
    run = open_file(file, backend, threads=1)
    return lambda images: [torch.from_numpy(out) for out in run(images.numpy())]


def by_onnx(model: SepViT, images: Tensor, file: Path, opset: int) -> Called:
    """`torch.onnx.export` of a trace, run by ONNX Runtime."""
    write_onnx(model, images, file, names(model), 'size', opset, slim=False)
    return _opened(file, 'onnxruntime')


def program(model: SepViT, images: Tensor) -> torch.export.ExportedProgram:
    """`torch.export` with batch, height and width left open."""
    dim = torch.export.Dim
    shapes = ({0: dim('batch'), 2: dim('height', min=LEAST), 3: dim('width', min=LEAST)},)
    # Else the exporter asks of each size whether it is 1, and binds the program to the answer.
    with torch.fx.experimental._config.patch(backed_size_oblivious=True):
        return torch.export.export(model, (images,), dynamic_shapes=shapes)


def by_program(model: SepViT, images: Tensor, file: Path) -> Called:
    """`torch.export`, run by PyTorch."""
    # The guards would refuse a batch of one, though the program has no operator that minds.
    return program(model, images).module(check_guards=False)


def by_dynamo(model: SepViT, images: Tensor, file: Path) -> Called:
    """`torch.onnx.export` of a `torch.export` program, run by ONNX Runtime."""
    exported = program(model, images)
    torch.onnx.export(
        exported,
        (),
        str(file),
        dynamo=True,
        opset_version=18,
        external_data=False,
        input_names=['images'],
        output_names=names(model),
        verbose=False,
    )
    return _opened(file, 'onnxruntime')


def by_jit(model: SepViT, images: Tensor, file: Path) -> Called:
    """`torch.jit.trace` with its default check."""
    write_torchscript(model, images, file)
    return _opened(file, 'torchscript')


def by_inductor(model: SepViT, images: Tensor, file: Path) -> Called:
    """AOTInductor: a `torch.export` program as compiled code."""
    package = torch._inductor.aoti_compile_and_package(
        program(model, images), package_path=str(file.with_suffix('.pt2'))
    )
    return torch._inductor.aoti_load_package(package)


EXPORTERS: dict[str, Callable[[SepViT, Tensor, Path], Called]] = {
    'onnx-11': partial(by_onnx, opset=11),
    'onnx-17': partial(by_onnx, opset=17),
    'jit': by_jit,
    'export': by_program,
    'dynamo': by_dynamo,
    'inductor': by_inductor,
}
"""Exporters by name; the last three need a newer torch than 2.1."""


def sizes_of(exporter: str) -> list[tuple[int, int]]:
    """The sizes that an exporter's result is asked for."""
    least = LEAST if exporter in ('export', 'dynamo', 'inductor') else 1
    return [size for size in SIZES if min(size) >= least]


def worst(model: SepViT, called: Called, sizes: Sequence[tuple[int, int]], batches: Sequence[int] = BATCHES) -> float:
    """Largest difference of any feature at any size and batch, relative to its map's largest value (1 at least)."""
    found = 0.0
    for size, batch in itertools.product(sizes, batches):
        images = torch.rand(batch, 3, *size)
        with torch.no_grad():
            wanted, outs = model(images), called(images)
        assert [out.shape for out in outs] == [out.shape for out in wanted], (size, batch)
        found = max(found, *(difference(w.numpy(), out.numpy()) for w, out in zip(wanted, outs)))
    return found


def count(file: Path) -> Counter[str]:
    """Nodes of an ONNX file by operator."""
    return Counter(node.op_type for node in onnx.load(str(file)).graph.node)


def _print_nodes(kinds: Sequence[str], arch: str) -> None:
    print('| tokens | opset | static | dynamic | operators of the dynamic file |\n| --- | --- | --- | --- | --- |')
    for kind, opset in itertools.product(kinds, (11, 17)):
        model = make(kind, arch)
        counts = {}
        for dynamic in ('none', 'size'):
            with TemporaryDirectory() as folder:
                file = Path(folder) / 'model.onnx'
                write_onnx(
                    model, torch.rand(1 if dynamic == 'none' else 2, 3, 224, 224), file, names(model), dynamic, opset
                )
                counts[dynamic] = count(file)
        total = {dynamic: sum(nodes.values()) for dynamic, nodes in counts.items()}
        operators = ', '.join(sorted(counts['size']))
        print(f'| {kind} | {opset} | {total["none"]} | {total["size"]} | {operators} |', flush=True)
        assert {*counts['none'], *counts['size']} <= OPERATORS


def main() -> None:
    """Prints a row for each export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', default='lite')
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=list(KINDS))
    parser.add_argument('--exporters', nargs='+', choices=EXPORTERS, default=list(EXPORTERS))
    parser.add_argument(
        '--traced-at', nargs='+', choices=TRACED, default=list(TRACED), help=f'of {", ".join(TRACED)} (default: all)'
    )
    parser.add_argument('--nodes', action='store_true', help='count the nodes of the ONNX files instead')
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    if args.nodes:
        _print_nodes(args.kinds, args.arch)
        return
    print(f'torch {torch.__version__}, {args.arch}\n')
    print('| exporter | tokens | traced at | compared | largest difference |\n| --- | --- | --- | --- | --- |')
    for exporter, kind, traced in itertools.product(args.exporters, args.kinds, args.traced_at):
        size = TRACED[traced]
        model = make(kind, args.arch)
        sizes = sizes_of(exporter)
        row = f'| {exporter} | {kind} | {traced} | {len(sizes) * len(BATCHES)}'
        try:
            with TemporaryDirectory() as folder:
                called = EXPORTERS[exporter](model, torch.rand(2, 3, *size), Path(folder) / 'model.onnx')
                print(f'{row} | {worst(model, called, sizes):.1e} |', flush=True)
        except Exception as error:
            print(f'{row} | {type(error).__name__}: {str(error).splitlines()[0][:120]} |', flush=True)


if __name__ == '__main__':
    main()

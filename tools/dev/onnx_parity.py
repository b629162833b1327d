"""Exports backbones to ONNX and compares the files with PyTorch at sizes other than the traced one; docs/export.md."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxruntime
import onnxslim
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmsepvit import SepViT

KINDS: dict[str, dict] = {
    'zero': dict(window_token='zero'),
    'shared': dict(window_token='shared'),
    'learnable': dict(window_token='learnable'),
    'classifier': dict(window_token='learnable', out_indices=(3,), single_window_psa=False),
}
TRACED_AT = (97, 131)
SIZES = ((1, 1), (7, 5), (32, 32), (97, 131), (200, 330), (224, 224), (225, 449), (512, 512))
BATCHES = (1, 3)
UNWANTED = ('If', 'Loop', 'ScatterND')


def randomised(model: SepViT) -> SepViT:
    """The model in evaluation mode, its tokens, norms and biases far from their initial zeros and ones."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim in (1, 3):
            nn.init.normal_(parameter, 0.5, 0.3)
    return model.eval()


def make(kind: str) -> SepViT:
    """SepViT-Lite of random weights."""
    torch.manual_seed(0)
    return randomised(SepViT('lite', **KINDS[kind]))


def export(model: SepViT, file: Path, opset: int, dynamic: bool, exporter: str, size: tuple[int, int]) -> None:
    """Writes an ONNX file; a dynamic one takes any batch, height and width."""
    images = torch.rand(2 if dynamic else 1, 3, *size)
    names = [f'feature{i}' for i in model.out_indices]
    common = dict(input_names=['images'], output_names=names, opset_version=opset)
    if exporter == 'trace':
        if torch.__version__ >= '2.5':
            common['dynamo'] = False
        axes = {'images': {0: 'batch', 2: 'height', 3: 'width'}, **{name: {0: 'batch'} for name in names}}
        torch.onnx.export(model, (images,), str(file), dynamic_axes=axes if dynamic else None, **common)
        return
    dim = torch.export.Dim
    shapes = ({0: dim('batch'), 2: dim('height'), 3: dim('width')},) if dynamic else None
    torch.onnx.export(model, (images,), str(file), dynamo=True, dynamic_shapes=shapes, external_data=False, **common)


def difference(model: SepViT, session: onnxruntime.InferenceSession, images: Tensor) -> float:
    """Largest difference of any feature, relative to its map's largest value (1 at least)."""
    with torch.no_grad():
        wanted = model(images)
    found = [torch.from_numpy(feature) for feature in session.run(None, {'images': images.numpy()})]
    assert [f.shape for f in found] == [w.shape for w in wanted], [f.shape for f in found]
    return max(float((f - w).abs().max() / w.abs().max().clamp(min=1)) for f, w in zip(found, wanted))


def count(graph: onnx.ModelProto) -> Counter[str]:
    """Nodes by operator."""
    return Counter(node.op_type for node in graph.graph.node)


def main() -> None:
    """Prints a line for each export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=list(KINDS))
    parser.add_argument('--opsets', nargs='+', type=int, default=[11, 17])
    parser.add_argument('--exporter', choices=('trace', 'dynamo'), default='trace')
    parser.add_argument('--static', action='store_true', help='bound to one image of 224x224')
    args = parser.parse_args()
    print(f'torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, {args.exporter}', flush=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sizes, batches = (((224, 224),), (1,)) if args.static else (SIZES, BATCHES)
    operators: set[str] = set()
    for kind, opset in itertools.product(args.kinds, args.opsets):
        model = make(kind)
        with TemporaryDirectory() as folder:
            file = Path(folder) / 'model.onnx'
            export(model, file, opset, not args.static, args.exporter, (224, 224) if args.static else TRACED_AT)
            raw = onnx.load(str(file))
            slim = onnxslim.slim(str(file))
            for graph, name in ((raw, 'raw'), (slim, 'slim')):
                session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ['CPUExecutionProvider'])
                errors, failed = {}, []
                for size, batch in itertools.product(sizes, batches):
                    try:
                        errors[size, batch] = difference(model, session, torch.rand(batch, 3, *size))
                    except Exception as error:
                        failed.append((size, batch, str(error).splitlines()[0][:200]))
                worst = max(errors.values(), default=float('nan'))
                nodes = count(graph)
                bad = [operator for operator in UNWANTED if nodes[operator]]
                print(
                    f'{kind} opset {opset} {name}: {sum(nodes.values())} nodes, {len(errors)} compared, '
                    f'worst {worst:.1e}, failed {failed}, unwanted {bad}',
                    flush=True,
                )
                operators |= set(nodes)
    print('operators:', ', '.join(sorted(operators)))


if __name__ == '__main__':
    main()

"""Packaging. What OpenMMLab's mim and readers of configs need travels in ``mmsepvit/.mim``."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from setuptools import Command, find_packages, setup
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent
MIM_PARTS = ('configs', 'tools', 'model-index.yml')
# Of use in a checkout only: the measurements, and the plain implementation that they are checked against.
NOT_SHIPPED = ('tools/dev/', 'tools/benchmark.py', 'tools/swap_matrix.py')


def version() -> str:
    text = (ROOT / 'mmsepvit' / 'version.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE).group(1)


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.in').read_text(encoding='utf-8').splitlines()
    return [line for line in (line.partition('#')[0].strip() for line in lines) if line]


def mim_files() -> list[str]:
    """Returns the files that ``.mim`` carries, relative to the root."""
    files = []
    for part in MIM_PARTS:
        path = ROOT / part
        if not path.exists():
            raise FileNotFoundError(f'{path} is missing: the package carries it')
        files += [path] if path.is_file() else [file for file in path.rglob('*') if file.is_file()]
    names = (file.relative_to(ROOT) for file in files if '__pycache__' not in file.parts)
    return sorted(name.as_posix() for name in names if not name.as_posix().startswith(NOT_SHIPPED))


class BuildMim(Command):
    """Fills ``mmsepvit/.mim``: with copies in a built package, with links in an editable one.

    A sub-command of ``build``, so that setuptools itself runs it for wheels and for PEP 660
    installs alike (telling them apart by ``editable_mode``) and asks it what the sdist needs.
    """

    description = 'add configs, tools and the model index to the package'
    user_options: list[tuple[str, str, str]] = []  # noqa: RUF012 - as setuptools declares it
    editable_mode = False

    def initialize_options(self) -> None:
        self.build_lib = None

    def finalize_options(self) -> None:
        self.set_undefined_options('build_py', ('build_lib', 'build_lib'))

    def run(self) -> None:
        if self.editable_mode:
            self.link()
            return
        # What an earlier build left may have been renamed since.
        shutil.rmtree(Path(self.build_lib, 'mmsepvit', '.mim'), ignore_errors=True)
        for target, source in self.get_output_mapping().items():
            self.mkpath(os.path.dirname(target))  # noqa: PTH120 - a text, as distutils wants it
            self.copy_file(source, target)

    def link(self) -> None:
        folder = ROOT / 'mmsepvit' / '.mim'
        folder.mkdir(exist_ok=True)
        for part in MIM_PARTS:
            link = folder / part
            if link.is_symlink() or link.is_file():
                link.unlink()
            elif link.is_dir():
                shutil.rmtree(link)
            link.symlink_to(Path('..', '..', part))

    def get_source_files(self) -> list[str]:
        return mim_files()

    def get_outputs(self) -> list[str]:
        return list(self.get_output_mapping())

    def get_output_mapping(self) -> dict[str, str]:
        return {str(Path(self.build_lib, 'mmsepvit', '.mim', name)): name for name in mim_files()}


class Build(build):
    """The usual build with ``build_mim`` as its last step."""

    sub_commands = [*build.sub_commands, ('build_mim', None)]  # noqa: RUF012


setup(
    name='mmsepvit',
    version=version(),
    description='SepViT (Separable Vision Transformer) as a backbone for OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='computer vision, vision transformer, backbone, segmentation, detection, OpenMMLab',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.9',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=['mmsepvit', 'mmsepvit.*']),
    include_package_data=False,
    package_data={'mmsepvit': ['weights/*']},
    zip_safe=False,
    python_requires='>=3.9',
    # Neither family of OpenMMLab packages: naming one would pull it over the other.
    install_requires=['torch', 'numpy'],
    extras_require={name: requirements(name) for name in ('openmmlab', 'onedl', 'export', 'test', 'web')},
    cmdclass={'build': Build, 'build_mim': BuildMim},
)

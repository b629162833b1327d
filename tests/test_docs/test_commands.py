"""What the pages tell people to type is there: tools, options, configs, targets, files, and the names of the walks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]
# Their own command lines: torchrun's processes, and shell scripts that hand their options on.
SCRIPTS = {'dist_train.sh': 'train', 'dist_test.sh': 'test', 'slurm_train.sh': 'train'}
MODULES = {'benchmark': 'dev.benchmark.cli', 'swap_matrix': 'dev.swap_matrix.cli'}


def commands(page: Path) -> Iterator[list[str]]:
    """Words of each line of a page that runs a tool."""
    for block in re.findall(r'^```(?:bash|sh)?\n(.*?)^```', page.read_text(encoding='utf-8'), re.MULTILINE | re.DOTALL):
        for line in block.replace('\\\n', ' ').splitlines():
            if re.match(r'(python|bash) tools/|make ', line.strip()):
                yield shlex.split(line, comments=True)


@cache
def options(tool: str) -> set[str]:
    """Options that a tool's help lists."""
    text = StringIO()
    module = MODULES.get(tool, f'mmsepvit.cli.{tool}')
    with redirect_stdout(text), pytest.raises(SystemExit):
        import_module(module).main(['--help'])
    return set(re.findall(r'--[a-z][a-z-]*', text.getvalue()))


COMMANDS = [(page, words) for page in PAGES for words in commands(page)]


def test_the_pages_have_commands() -> None:
    assert len(COMMANDS) > 30


@pytest.mark.parametrize(
    ('page', 'words'), COMMANDS, ids=lambda value: None if isinstance(value, Path) else ' '.join(value)
)
def test_command(page: Path, words: list[str]) -> None:
    if words[0] == 'make':
        target = words[1] if len(words) > 1 else 'help'
        assert re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.MULTILINE)
        return
    file = ROOT / words[1]
    assert file.is_file()
    known = options(SCRIPTS.get(file.name, file.stem))
    for word in words[2:]:
        if word.startswith('--'):
            assert word.partition('=')[0] in known, f'{page.name}: {word}'
        # What the page has the reader write is called my_….
        if word.startswith('configs/') and not Path(word).name.startswith('my_'):
            assert (ROOT / word).is_file(), f'{page.name}: {word}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_options_in_sentences(page: Path) -> None:
    """Each `--option` of a page is one of some tool."""
    tools = {file.stem for file in (ROOT / 'tools').glob('*.py')} - {'command', 'launch'}
    known = set().union(*map(options, sorted(tools)))
    for option in re.findall(r'`(--[a-z][a-z-]*)', page.read_text(encoding='utf-8')):
        assert option in known, option


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_files_in_sentences(page: Path) -> None:
    """Links and names of tests, tools, modules and make's targets lead somewhere; no path is of one machine."""
    text = page.read_text(encoding='utf-8')
    for target in re.findall(r'\]\((?!https?://|#)([^)#]+)', text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r'`((?:tests|tools|mmsepvit)/[\w/]+\.(?:py|sh))`', text):
        assert (ROOT / target).is_file(), target
    names = {file.name for file in (ROOT / 'tests').rglob('test_*.py')}
    assert set(re.findall(r'`(test_\w+\.py)`', text)) <= names
    targets = re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    assert set(re.findall(r'`make ([a-z]+)', text)) <= set(targets)
    assert not re.search(r'(?<![\w.~])/(root|home|work|tmp)/', text)


def test_the_walks_of_the_architecture_page() -> None:
    """Each line of a walk names a file and what is defined in it."""
    text = (ROOT / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    lines = re.findall(
        r'^(?:\d )?((?:models|cli|configs|engine|checkpoints|tools)/\w+\.py) +([\w.]+)', text, re.MULTILINE
    )
    assert len(lines) > 25
    for path, name in lines:
        file = ROOT / path if path.startswith('tools/') else ROOT / 'mmsepvit' / path
        defined = file.read_text(encoding='utf-8')
        for part in name.split('.'):
            assert re.search(rf'(def|class) {part}\b', defined), f'{path} has no {part}'

"""What MkDocs shows: the documents of the repository under their own paths, and a page for each package of the API."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"),
    *("docs/*.md", "docs/*_app.py", "bundles/*/docs/*", "bundles/*/LICENSE"),
)
PACKAGES = ("tools", "common")
INTERNAL = ("tools.command_line", "tools.integrations", "tools.runs.auto3dseg.template")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the API into the navigation."""
    pages: list[Any] = [{name: f"api/{name}.md"} for name in _modules()]
    config.nav = [*(config.nav or []), {"API": pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take the documents from where they are, in the place of those in one folder."""
    kept = [file for file in files if file.src_dir != config.docs_dir]
    documents = sorted(path for pattern in DOCUMENTS for path in ROOT.glob(pattern) if path.is_file())
    kept += [File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)) for path in documents]
    for name, modules in _modules().items():
        text = f"# {name}\n\n" + "\n".join(f"::: {module}\n" for module in modules)
        kept.append(File.generated(config, f"api/{name}.md", content=text))
    return Files(kept)


def _modules() -> dict[str, list[str]]:
    """Package -> its modules that say what is public in them."""
    found = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if path.stem != "__init__" and not name.startswith(INTERNAL) and _has_public(path):
                parts = name.split(".")
                found[".".join(parts[:2]) if len(parts) > 2 else package].append(name)
    return dict(sorted(found.items()))


def _has_public(path: Path) -> bool:
    return any(name == "__all__" for name in _assigned(ast.parse(path.read_text(encoding="utf-8"))))


def _assigned(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))

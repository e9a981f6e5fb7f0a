"""Writes the embedded scene pack: LIBERO's asset tree, generated from this package's sources, once per version."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from libero_bridge.scenes.catalogue import catalogue
from substep_core.user_cache import user_cache


def _source_hash() -> str:
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for source in sorted(root.rglob("*.py")):
        digest.update(source.relative_to(root).as_posix().encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


# Taken when the generators are loaded: a source edited later must not lend its name to a pack of the older code.
_SOURCE_HASH = _source_hash()


def pack_path() -> Path:
    """The folder of the generated asset tree, written on first use.

    It lies in the user's cache (``substep_core.user_cache``) under a name that holds a hash of the generator's
    sources, so that a change of the sources makes a new pack. Several processes may ask at once: each writes a folder
    of its own and the first one to finish gives it its name.

    Raises:
        OSError: the cache folder cannot be written.
    """
    cache = user_cache()
    pack = cache / f"scenes-{_SOURCE_HASH}"
    if not pack.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        _publish(pack)
    return pack


def write_pack(folder: Path) -> None:
    """Writes every asset of the catalogue below `folder`, at LIBERO's relative paths."""
    for path, build in catalogue().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        for name, content in build().files(file.name).items():
            (file.parent / name).write_bytes(content)


def _publish(pack: Path) -> None:
    written = Path(tempfile.mkdtemp(prefix=f".{pack.name}-", dir=pack.parent))
    try:
        write_pack(written)
        written.chmod(0o755)
        written.rename(pack)
    except OSError:
        if not pack.is_dir():  # another process may have been first; then its pack serves
            raise
    finally:
        shutil.rmtree(written, ignore_errors=True)

"""An object store in a folder of this machine, so that what a killed process leaves there stays."""

import os
import shutil
from pathlib import Path

FOLDER = "store"
"""A folder of this name is the bucket."""


def register_local_store() -> None:
    """``localstore://``: a folder that behaves as an object store does. What is put is there whole or not at all, and
    folders are made without being asked for."""
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    class LocalStore(LocalFileSystem):
        protocol = "localstore"

        def __init__(self, **kwargs: object) -> None:
            super().__init__(auto_mkdir=True)

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(LocalFileSystem._strip_protocol(str(path).removeprefix("localstore://")))

        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
            target = Path(self._strip_protocol(path))
            if mode == "create" and target.exists():
                raise FileExistsError(path)
            aside = self._aside(target)
            aside.write_bytes(value)
            os.replace(aside, target)

        def put_file(self, lpath: str, rpath: str, callback: object = None, **kwargs: object) -> None:
            target = Path(self._strip_protocol(rpath))
            if not os.path.isdir(lpath):
                aside = self._aside(target)
                shutil.copyfile(lpath, aside)
                os.replace(aside, target)

        @staticmethod
        def _aside(target: Path) -> Path:
            """Where bytes lie until they are whole: on no path of the store."""
            target.parent.mkdir(parents=True, exist_ok=True)
            folder = next(p for p in target.parents if p.name == FOLDER).with_name("in flight")
            folder.mkdir(exist_ok=True)
            return folder / f"{os.getpid()}"

    fsspec.register_implementation("localstore", LocalStore, clobber=True)

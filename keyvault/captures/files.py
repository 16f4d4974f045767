"""Where captured exchanges lie: sealed frames in files that only ever grow, a directory for each capture.

A frame is its length (u32, big-endian) and a sealed record (`vault.sealing`) bound to its capture, its file and its
place in it, so that frames can neither be exchanged nor moved. Each process writes a file of its own; the frame that it
was writing when it died is cut short, and readers leave it out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from keyvault.errors import Tampered, UnknownGeneration, WrongKey
from keyvault.vault.sealing import open_sealed, pae, seal

SUFFIX: Final = ".capture"
_PURPOSE: Final = "capture"
_GENERATION: Final = 1
"""A capture has one key, which is never rotated: what seals the key is."""
_LENGTH_BYTES: Final = 4
_LARGEST_FRAME: Final = 64 << 20


class CaptureFile:
    """One process's file of one capture. For one thread; made when the first frame is written."""

    def __init__(self, directory: Path, name: str, record_id: str, key: bytes) -> None:
        """`name`: of the process, different from every other's. `record_id`: the capture's."""
        self._directory = directory
        self._name = name
        self._record_id = record_id
        self._key = key
        self._number = 0
        self._descriptor: int | None = None
        self._sequence = 0
        self._length = 0

    def append(self, content: bytes) -> int:
        """Seal and write one exchange; what it takes on disk. Raises `OSError`, and then nothing was written."""
        descriptor = self._opened()
        blob = seal(self._key, _GENERATION, _PURPOSE, self._place(), content)
        frame = memoryview(len(blob).to_bytes(_LENGTH_BYTES, "big") + blob)
        try:
            written = 0
            while written < len(frame):
                written += os.write(descriptor, frame[written:])
        except OSError:
            self._take_back(descriptor)
            raise
        self._sequence += 1
        self._length += len(frame)
        return len(frame)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is None:
            self._directory.parent.mkdir(mode=0o700, exist_ok=True)
            self._directory.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._directory / self._file, flags, 0o600)
        return self._descriptor

    def _take_back(self, descriptor: int) -> None:
        """Leave no half of a frame behind; where even that fails another file goes on."""
        try:
            os.ftruncate(descriptor, self._length)
        except OSError:
            self.close()
            self._number, self._sequence, self._length = self._number + 1, 0, 0

    @property
    def _file(self) -> str:
        return f"{self._name}-{self._number}{SUFFIX}"

    def _place(self) -> bytes:
        return _bound_to(self._record_id, self._file, self._sequence)


def read(directory: Path, record_id: str, key: bytes) -> Iterator[bytes]:
    """Every whole frame's content, in the order written; one process after the other. Raises `Tampered`."""
    for path in sorted(directory.glob(f"*{SUFFIX}")) if directory.is_dir() else ():
        with path.open("rb") as file:
            for sequence, blob in enumerate(_frames(file, path)):
                yield _opened(key, _bound_to(record_id, path.name, sequence), blob, path)


def destroy(directory: Path) -> None:
    """Remove what was captured. What is gone already is no error."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _opened(key: bytes, place: bytes, blob: bytes, path: Path) -> bytes:
    try:
        return open_sealed({_GENERATION: key}, _PURPOSE, place, blob)
    except (Tampered, WrongKey, UnknownGeneration):
        raise Tampered(f"{path} was changed, or does not belong here") from None


def _frames(file: IO[bytes], path: Path) -> Iterator[bytes]:
    while len(head := file.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
        length = int.from_bytes(head, "big")
        if not 0 < length <= _LARGEST_FRAME:
            raise Tampered(f"{path} was changed: a frame of {length} bytes")
        blob = file.read(length)
        if len(blob) < length:
            return
        yield blob


def _bound_to(record_id: str, file: str, sequence: int) -> bytes:
    return pae(record_id.encode(), file.encode(), str(sequence).encode())

"""TFRecord files and the ``tf.train.Example`` in them, without TensorFlow."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

MASK_DELTA = 0xA282EAD8


class TFRecordError(ValueError):
    """A damaged record file; the message says where."""


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Where each record of a file begins, in bytes, and what it holds.

    Raises:
        TFRecordError: the file ends early or a checksum does not match.
    """
    with path.open("rb") as file:
        size, begin = os.fstat(file.fileno()).st_size, 0
        while begin < size:
            yield begin, _next_record(file, size, path)
            begin = file.tell()


def read_record(path: Path, begin: int) -> bytes:
    """What the record that begins there holds. Raises: TFRecordError: as ``read_records``."""
    with path.open("rb") as file:
        file.seek(begin)
        return _next_record(file, os.fstat(file.fileno()).st_size, path)


def _next_record(file: BinaryIO, size: int, path: Path) -> bytes:
    """A record is its length (8 bytes), the length's checksum (4), the data, and their checksum (4)."""
    header = file.read(12)
    if len(header) < 12:
        raise TFRecordError(f"{path}: the file ends inside a record's header")
    _check(header[:8], header[8:], path)
    (length,) = struct.unpack("<Q", header[:8])
    if length + 4 > size - file.tell():  # before memory is taken for it
        raise TFRecordError(f"{path}: the file ends inside a record of {length} bytes")
    data, checksum = file.read(length), file.read(4)
    _check(data, checksum, path)
    return data


def parse_example(data: bytes) -> dict[str, list[Any]]:
    """A serialised Example -> feature name -> bytes, floats or integers.

    Raises:
        TFRecordError: the data is no Example.
    """
    try:
        example = example_class().FromString(data)
    except DecodeError as error:
        raise TFRecordError(f"not a tf.train.Example: {error}") from error
    return {name: _values(feature) for name, feature in example.features.feature.items()}


@cache
def example_class() -> type:
    """The message class of TensorFlow's example.proto, made from its description."""
    types = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="substep_example.proto", package="substep", syntax="proto3")
    kinds = {"BytesList": types.TYPE_BYTES, "FloatList": types.TYPE_FLOAT, "Int64List": types.TYPE_INT64}
    for name, kind in kinds.items():
        values = file.message_type.add(name=name).field.add(name="value", number=1, type=kind)
        values.label = types.LABEL_REPEATED
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(kinds, start=1):
        field = feature.field.add(name=f"{name[:-4].lower()}_list", number=number, type=types.TYPE_MESSAGE)
        field.label, field.type_name, field.oneof_index = types.LABEL_OPTIONAL, f".substep.{name}", 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=types.TYPE_STRING, label=types.LABEL_OPTIONAL)
    value = entry.field.add(name="value", number=2, type=types.TYPE_MESSAGE, label=types.LABEL_OPTIONAL)
    value.type_name = ".substep.Feature"
    mapping = features.field.add(name="feature", number=1, type=types.TYPE_MESSAGE, label=types.LABEL_REPEATED)
    mapping.type_name = ".substep.Features.FeatureEntry"
    inner = file.message_type.add(name="Example").field.add(name="features", number=1, type=types.TYPE_MESSAGE)
    inner.label, inner.type_name = types.LABEL_OPTIONAL, ".substep.Features"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("substep.Example"))


def _values(feature: Any) -> list[Any]:
    kind = feature.WhichOneof("kind")
    return [] if kind is None else list(getattr(feature, kind).value)


def masked_checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF)


def _check(data: bytes, checksum: bytes, path: Path) -> None:
    if masked_checksum(data) != checksum:
        raise TFRecordError(f"{path}: a checksum does not match, the file is damaged")

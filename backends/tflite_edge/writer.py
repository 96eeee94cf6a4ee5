"""A model in memory becomes the bytes of a .tflite file; the same model gives the same bytes."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from zsq_export.backends.tflite_edge.graph import Element, Graph, Op, Port, Tensor
from zsq_export.errors import ModelError
from zsq_export.quantization.qparams import QParams

_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_ALIGNMENT = 16
LIMIT = 2**31 - 2**24
"""A flatbuffer's offsets have 31 usable bits; the rest of the file takes less than 16 MiB."""
_PLACEHOLDER_CODE = 127
_SIGNATURE = "serving_default"


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """Data aligned as the schema demands (force_align: 16), which the generated code forgets."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        data = None
        if self.data is not None and len(self.data):
            builder.StartVector(1, len(self.data), _ALIGNMENT)
            builder.head = builder.head - len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data.tobytes()
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def to_bytes(graph: Graph, *, metadata: tuple[tuple[str, bytes], ...] = (), limit: int | None = None) -> bytes:
    """The whole file.

    Args:
        graph: the model.
        metadata: name and content of each metadata entry.
        limit: in bytes; None: ``LIMIT``.

    Raises:
        ModelError: it does not fit into one flatbuffer.
    """
    limit = LIMIT if limit is None else limit
    writer = _Writer()
    for port in (*graph.inputs, *graph.outputs):
        writer.add(port.tensor)
    for tensor in graph.tensors():
        writer.add(tensor)
    size = sum(len(buffer.data) for buffer in writer.buffers if buffer.data is not None)
    if size > limit:
        raise ModelError(
            f"the constants take {size} bytes, one .tflite file holds at most {limit}",
            hint="quantize more of the model, or split it",
        )
    builder = flatbuffers.Builder(size + (1 << 16))
    builder.Finish(writer.model(graph, metadata).Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


class _Writer:
    def __init__(self) -> None:
        self.buffers = [_Buffer()]
        self._by_content: dict[bytes, int] = {}
        self._indices: dict[Tensor, int] = {}
        self._tensors: list[Any] = []
        self._codes: dict[tuple[str, int], int] = {}

    def add(self, tensor: Tensor) -> None:
        """Gives the tensor an index, once."""
        if tensor in self._indices:
            return
        self._indices[tensor] = len(self._tensors)
        shape = [size.one for size in tensor.sizes]
        signature = [-1 if size.is_open else size.one for size in tensor.sizes]
        self._tensors.append(
            schema.TensorT(
                name=tensor.name,
                shape=np.array(shape, dtype=np.int32),
                shapeSignature=np.array(signature, dtype=np.int32) if -1 in signature else None,
                type=getattr(schema.TensorType, tensor.element.value),
                buffer=0 if tensor.data is None else self._buffer(stored(tensor.data, tensor.element).tobytes()),
                quantization=None if tensor.quant is None else _quantization(tensor.quant),
                hasRank=True,
            )
        )

    def model(self, graph: Graph, metadata: tuple[tuple[str, bytes], ...]) -> Any:
        """The schema's root object."""
        operators = [self._operator(op) for op in graph.ops]
        entries = [schema.MetadataT(name=name, buffer=self._buffer(content)) for name, content in metadata]
        subgraph = schema.SubGraphT(
            name="main",
            tensors=self._tensors,
            inputs=self._ports(graph.inputs),
            outputs=self._ports(graph.outputs),
            operators=operators,
        )
        return schema.ModelT(
            version=_SCHEMA_VERSION,
            description="zsq-export",
            operatorCodes=[_operator_code(kind, version) for kind, version in self._codes],
            subgraphs=[subgraph],
            buffers=self.buffers,
            metadata=entries,
            signatureDefs=[self._signature(graph)],
        )

    def _buffer(self, content: bytes) -> int:
        """Equal contents share one buffer."""
        if content not in self._by_content:
            self._by_content[content] = len(self.buffers)
            self.buffers.append(_Buffer(data=np.frombuffer(content, dtype=np.uint8)))
        return self._by_content[content]

    def _operator(self, op: Op) -> Any:
        code = self._codes.setdefault((op.kind, op.version), len(self._codes))
        operator = schema.OperatorT(
            opcodeIndex=code,
            inputs=self._numbers(op.inputs),
            outputs=self._numbers(op.outputs),
        )
        if op.options is not None:
            name = type(op.options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = op.options
        return operator

    def _numbers(self, tensors: tuple[Tensor | None, ...]) -> NDArray[np.int32]:
        return np.array([-1 if tensor is None else self._indices[tensor] for tensor in tensors], dtype=np.int32)

    def _ports(self, ports: list[Port]) -> NDArray[np.int32]:
        return self._numbers(tuple(port.tensor for port in ports))

    def _signature(self, graph: Graph) -> Any:
        def maps(ports: list[Port]) -> list[Any]:
            return [schema.TensorMapT(name=port.name, tensorIndex=self._indices[port.tensor]) for port in ports]

        return schema.SignatureDefT(
            inputs=maps(graph.inputs), outputs=maps(graph.outputs), signatureKey=_SIGNATURE, subgraphIndex=0
        )


def stored(array: NDArray[Any], element: Element) -> NDArray[Any]:
    """Elements as the file holds them, little-endian; two 4-bit integers per byte, the first in the lower half."""
    if element is not Element.INT4:
        return array.astype(np.dtype(element.value.lower()).newbyteorder("<"))
    nibbles = array.astype(np.int8).reshape(-1).astype(np.uint8) & 0xF
    nibbles = np.append(nibbles, np.zeros(len(nibbles) % 2, dtype=np.uint8))
    return nibbles[::2] | (nibbles[1::2] << 4)


def _quantization(quant: QParams) -> Any:
    return schema.QuantizationParametersT(
        scale=np.array(quant.scale, dtype=np.float32),
        zeroPoint=np.array(quant.zero_point, dtype=np.int64),
        quantizedDimension=quant.axis or 0,
    )


def _operator_code(kind: str, version: int) -> Any:
    code = getattr(schema.BuiltinOperator, kind)
    return schema.OperatorCodeT(
        builtinCode=code, deprecatedBuiltinCode=min(code, _PLACEHOLDER_CODE), version=version, customCode=None
    )

'use strict'

// Values and payloads: what `publish` takes, what `value` gives back.

const { types } = require('node:util')
const native = require('./native.js')
const { AxonicError, invalid } = require('./error.js')
const { DTYPE, DIMENSIONS } = require('./internal.js')

/** Content types by the core's numbers. */
const RAW = 0
const JSON_TEXT = 1
const MESSAGE_PACK = 2
const TENSOR = 3
const CONTENTS = ['raw', 'json', 'msgpack', 'tensor']

// Half floats have an array of their own only in newer engines; before, their bits are shown.
const Half = globalThis.Float16Array ?? Uint16Array

/** The array that shows elements of a dtype; complex numbers are pairs. */
const ARRAYS = {
  bool: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float16: Half,
  bfloat16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
  complex64: Float32Array,
  complex128: Float64Array
}

/** The names of the element types by their number in the protocol, and back. */
const NAMES = native.dtypes()
const NUMBERS = new Map(NAMES.map((name, number) => [name, number]))
const MAX_DIMENSIONS = 8

/** The dtype of each kind of typed array. */
const DTYPES = {
  Int8Array: 'int8',
  Uint8Array: 'uint8',
  Uint8ClampedArray: 'uint8',
  Int16Array: 'int16',
  Uint16Array: 'uint16',
  Int32Array: 'int32',
  Uint32Array: 'uint32',
  BigInt64Array: 'int64',
  BigUint64Array: 'uint64',
  Float16Array: 'float16',
  Float32Array: 'float32',
  Float64Array: 'float64'
}

const bytesOf = (value) => ArrayBuffer.isView(value)
  ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  : new Uint8Array(value)

/** Whether `value` is memory: a view or a buffer. */
const isBinary = (value) => ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)

/**
 * Whether `value` goes out as its bytes, with nothing else to say about it.
 *
 * @param {any} value
 */
const isBytes = (value) => value?.shape === undefined && types.isUint8Array(value)

/** JSON; `cannot` is how an error begins: who cannot do what with the value. */
function jsonText (value, cannot) {
  let text
  try {
    text = JSON.stringify(value)
  } catch (error) {
    // A BigInt or a circle; what a `toJSON` of the caller's throws is the caller's.
    if (!(error instanceof TypeError)) throw error
    throw invalid(`${cannot} this value as JSON: ${error.message}`, { cause: error })
  }
  if (text === undefined) {
    throw invalid(`${cannot} a value of type ${typeof value}; it has no JSON form`)
  }
  return text
}

/** Checks a tensor; nothing is copied. */
function tensorOf (data, shape, dtype, cannot) {
  const Array = ARRAYS[dtype]
  if (Array === undefined) throw invalid(`${cannot} a tensor with elements of type ${JSON.stringify(dtype)}; there is no such type`)
  if (shape.length > MAX_DIMENSIONS) {
    throw invalid(`${cannot} a tensor of ${shape.length} dimensions; ${MAX_DIMENSIONS} are the most`)
  }
  let bytes = Array.BYTES_PER_ELEMENT * (dtype === 'complex64' || dtype === 'complex128' ? 2 : 1)
  for (const dimension of shape) {
    if (!(Number.isSafeInteger(dimension) && dimension >= 0)) {
      throw invalid(`${cannot} a tensor of shape [${shape}]; its dimensions must be whole numbers, not negative`)
    }
    bytes *= dimension
  }
  if (data !== undefined && bytes !== data.byteLength) {
    throw invalid(`${cannot} a tensor of ${dtype} and shape [${shape}]: it has ${bytes} bytes, but the array has ${data.byteLength}`)
  }
  return { data, dtype, shape, bytes }
}

/**
 * What a value is as a tensor, or undefined when it is none.
 *
 * @param {any} value
 * @param {string} cannot
 */
function asTensor (value, cannot) {
  if (typeof value !== 'object' || value === null) return undefined
  const { data, shape, dtype } = value
  if (types.isTypedArray(value)) {
    const tag = value[Symbol.toStringTag]
    if (Array.isArray(shape)) return tensorOf(value, shape, dtype ?? DTYPES[tag], cannot)
    return tag === 'Uint8Array' ? undefined : tensorOf(value, [value.length], DTYPES[tag], cannot)
  }
  if (!Array.isArray(shape) || !types.isTypedArray(data)) return undefined
  return tensorOf(data, shape, dtype ?? DTYPES[data[Symbol.toStringTag]], cannot)
}

/** Writes a tensor description into the row of the table that begins at `at`. */
function putTensor (table, at, { dtype, shape }) {
  table[at + DTYPE] = NUMBERS.get(dtype)
  table[at + DIMENSIONS] = shape.length
  for (let i = 0; i < shape.length; i++) table[at + DIMENSIONS + 1 + i] = shape[i]
}

/** The tensor description in the row of the table that begins at `at`. */
function getTensor (table, at) {
  const first = at + DIMENSIONS + 1
  const shape = Array.from(table.subarray(first, first + table[at + DIMENSIONS]))
  return { dtype: NAMES[table[at + DTYPE]], shape }
}

/** A payload that stands on its own: `{ data, parts }`. */
function encode (value, cannot, content) {
  if (content !== undefined) return encodeAs(value, cannot, content)
  if (isBytes(value)) return { data: value, parts: { content: RAW } }
  const tensor = asTensor(value, cannot)
  if (tensor !== undefined) {
    const { data, dtype, shape } = tensor
    return { data: bytesOf(data), parts: { content: TENSOR, dtype, shape } }
  }
  if (isBinary(value)) return { data: bytesOf(value), parts: { content: RAW } }
  return { data: Buffer.from(jsonText(value, cannot)), parts: { content: JSON_TEXT } }
}

/** With `content` given, bytes are taken as already encoded; anything else is encoded so. */
function encodeAs (value, cannot, content) {
  const number = CONTENTS.indexOf(content)
  if (number < 0 || number === TENSOR) {
    throw invalid(`content is ${JSON.stringify(content)}; it must be one of raw, json, msgpack`)
  }
  if (isBinary(value)) return { data: bytesOf(value), parts: { content: number } }
  if (number === RAW) throw invalid(`${cannot} a value of type ${typeof value} as raw content; that is bytes`)
  const json = Buffer.from(jsonText(value, cannot))
  return { data: number === JSON_TEXT ? json : native.jsonToMsgpack(json), parts: { content: number } }
}

/**
 * The same with attributes.
 *
 * @param {import('../index.js').PublishOptions} options
 */
function encodeWith (value, cannot, options = {}) {
  const { content, attributes } = options
  const payload = encode(value, cannot, content)
  if (attributes !== undefined) payload.parts.attributes = flatten(attributes)
  return payload
}

/** Attributes as the native side takes them. */
function flatten (attributes) {
  return Object.entries(attributes).flatMap(([name, value]) => [name, String(value)])
}

/** Attributes as the native side gives them. */
function unflatten (pairs) {
  const attributes = {}
  for (let i = 0; i < pairs.length; i += 2) attributes[pairs[i]] = pairs[i + 1]
  return attributes
}

/** A typed array over a part of a buffer, with its shape and dtype as hidden properties. */
function shaped (buffer, byteOffset, byteLength, dtype, shape) {
  const Array = ARRAYS[dtype]
  const size = Array.BYTES_PER_ELEMENT
  if (byteOffset % size !== 0) {
    buffer = buffer.slice(byteOffset, byteOffset + byteLength)
    byteOffset = 0
  }
  const array = new Array(buffer, byteOffset, byteLength / size)
  Object.defineProperty(array, 'shape', { value: shape })
  Object.defineProperty(array, 'dtype', { value: dtype })
  return array
}

/** The value that something carries, which errors call `what` of this name. */
function decode (what, name, content, data, tensor) {
  try {
    if (content === JSON_TEXT) return JSON.parse(data.toString())
    if (content === MESSAGE_PACK) return JSON.parse(native.msgpackToJson(data).toString())
  } catch (error) {
    if (error instanceof AxonicError) throw error
    const why = error instanceof Error ? error.message : error
    const text = `${what} '${name}': its ${CONTENTS[content]} cannot be decoded: ${why}; its bytes are in data`
    throw new AxonicError('Decode', text, { cause: error })
  }
  if (content === TENSOR) return shaped(data.buffer, data.byteOffset, data.byteLength, tensor.dtype, tensor.shape)
  return data
}

module.exports = {
  CONTENTS,
  JSON_TEXT,
  RAW,
  TENSOR,
  asTensor,
  bytesOf,
  decode,
  encode,
  encodeWith,
  flatten,
  getTensor,
  isBinary,
  isBytes,
  jsonText,
  putTensor,
  shaped,
  tensorOf,
  unflatten
}

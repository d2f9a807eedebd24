// Written by scripts/build.mjs from the crate; do not edit.

/** What rides along with a payload beside its bytes. */
export interface PayloadParts {
  /** The content type's number. */
  content: number
  /** The element type of a tensor. */
  dtype?: string
  /** The shape of a tensor. */
  shape?: Array<number>
  /** CloudEvents attributes: name, value, name, value. */
  attributes?: Array<string>
}

/** The names of the element types, by their number in the protocol. */
export function dtypes(): Array<string>

/** MessagePack from JSON text. */
export function jsonToMsgpack(json: Uint8Array): Buffer

/** JSON text from MessagePack. */
export function msgpackToJson(msgpack: Uint8Array): Buffer

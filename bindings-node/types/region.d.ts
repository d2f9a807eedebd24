import type { Handle } from './wait.js'

export interface RegionOptions {
  /** Bytes; needed to create one, checked against an existing one. */
  size?: number
  /** Default `openOrCreate`. */
  create?: 'openOrCreate' | 'createNew' | 'open'
}

/** Raw shared memory. */
export interface Region extends Handle {
  /** Empty for a sealed region. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** Whether this open created it. */
  readonly created: boolean
  /** Whether it may be written. */
  readonly writable: boolean
  /**
   * The memory itself. It stays mapped for as long as this Buffer or a slice of it is in use, also
   * after `close`. A read-only region throws AXONIC_UNSUPPORTED: use `read`.
   */
  readonly buffer: Buffer
  /** The descriptor of a sealed region, to be passed to another process. */
  readonly fd: number
  /** A copy of `length` bytes at `offset`; default: all. */
  read(offset?: number, length?: number): Buffer
  /** Copies `data` to `offset`. */
  write(offset: number, data: NodeJS.ArrayBufferView): void
}
export const Region: { readonly prototype: Region }

/** Nameless memory that nobody can change or resize any more. */
export function sealedRegion(data: NodeJS.ArrayBufferView): Region
/** The sealed region behind an inherited descriptor, which stays the caller's. */
export function regionFromFd(fd: number): Region

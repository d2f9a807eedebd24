// Written by scripts/build.mjs from the crate; do not edit.

/** The native region behind the facade's. */
export class Region {
  /**
  * Nameless memory that nobody can change or resize any more; its descriptor can be handed to
  * another process.
  */
  static sealed(data: Uint8Array): Region
  /** The sealed region behind an inherited descriptor, which stays open and the caller's. */
  static fromFd(fd: number): Region
  /** Its name; empty for a sealed region. */
  name(): string
  /** Bytes. */
  size(): number
  /** Whether this call created it. */
  isCreated(): boolean
  /** Whether it may be written. */
  writable(): boolean
  /** The descriptor of a sealed region. */
  fd(): number
  /** The memory itself, as an `ArrayBuffer` that keeps it mapped. */
  memory(): ArrayBuffer
  /** Copies from `offset` into `target`. */
  read(offset: number, target: Uint8Array): void
  /** Copies `source` to `offset`. */
  write(offset: number, source: Uint8Array): void
  /** Lets go of it; a second time does nothing. Buffers over it stay valid. */
  close(): void
}

/** How to open a region. */
export interface RegionSettings {
  /** Bytes; needed to create, checked otherwise. */
  size?: number
  /** `openOrCreate`, `createNew` or `open`. */
  create?: string
}

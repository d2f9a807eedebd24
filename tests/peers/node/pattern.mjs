// Byte i of message k of some size is (i*31 + k*7 + size) & 0xff.

// i*31 mod 256 repeats every 256 bytes, so a message is this turned by some steps and repeated:
// 31 * 223 == 1 (mod 256), hence the byte 223*c steps further is c larger.
const CHUNK = 1 << 20
const LONG = Buffer.from(Uint8Array.from({ length: CHUNK + 256 }, (_, i) => (i * 31) & 0xff))

/** The first bytes of message k, at most a chunk; the rest repeats them. */
function pattern (k, size) {
  const start = (((k * 7 + size) & 0xff) * 223) & 0xff
  return LONG.subarray(start, start + Math.min(size, CHUNK))
}

export function fill (bytes, k) {
  const chunk = pattern(k, bytes.length)
  for (let at = 0; at < bytes.length; at += CHUNK) bytes.set(chunk.subarray(0, bytes.length - at), at)
}

export function matches (bytes, k) {
  const chunk = pattern(k, bytes.length)
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const end = Math.min(at + CHUNK, bytes.length)
    if (chunk.compare(bytes, at, end, 0, end - at) !== 0) return false
  }
  return true
}

/** The kinds of error, with the stable names all languages share. */
export type ErrorKind =
  | 'InvalidArgument' | 'InvalidName' | 'NotFound' | 'AlreadyExists' | 'PermissionDenied' | 'Timeout'
  | 'WouldBlock' | 'Closed' | 'Disconnected' | 'TooLarge' | 'Full' | 'LimitReached' | 'NoSpace'
  | 'LayoutMismatch' | 'Corrupt' | 'Forked' | 'Busy' | 'InUse' | 'Interrupted' | 'Unsupported'
  | 'Decode' | 'Io' | 'LeaseLost' | 'Rejected' | 'NotDurable' | 'Unavailable' | 'Cancelled' | 'CallFailed'

/** `err.code` of each kind. */
export type ErrorCode =
  | 'AXONIC_INVALID_ARGUMENT' | 'AXONIC_INVALID_NAME' | 'AXONIC_NOT_FOUND' | 'AXONIC_ALREADY_EXISTS'
  | 'AXONIC_PERMISSION_DENIED' | 'AXONIC_TIMEOUT' | 'AXONIC_WOULD_BLOCK' | 'AXONIC_CLOSED'
  | 'AXONIC_DISCONNECTED' | 'AXONIC_TOO_LARGE' | 'AXONIC_FULL' | 'AXONIC_LIMIT_REACHED'
  | 'AXONIC_NO_SPACE' | 'AXONIC_LAYOUT_MISMATCH' | 'AXONIC_CORRUPT' | 'AXONIC_FORKED' | 'AXONIC_BUSY'
  | 'AXONIC_IN_USE' | 'AXONIC_INTERRUPTED' | 'AXONIC_UNSUPPORTED' | 'AXONIC_DECODE' | 'AXONIC_IO'
  | 'AXONIC_LEASE_LOST' | 'AXONIC_REJECTED' | 'AXONIC_NOT_DURABLE' | 'AXONIC_UNAVAILABLE' | 'AXONIC_CANCELLED'
  | 'AXONIC_CALL_FAILED'

/** Every failure; the message names the object, what happened, the limit and the remedy. */
export class AxonicError extends Error {
  constructor(kind: ErrorKind, message: string, options?: ErrorOptions)
  /** What to branch on. */
  readonly code: ErrorCode
  /** The same, as the other languages name it. */
  readonly kind: ErrorKind
  /**
   * Of `putMany`, and with AXONIC_NOT_DURABLE: how many messages of the call are in the queue all the same, the first ones.
   * Of `sendMany`: how many were sent.
   */
  readonly accepted: number
  /** Of a call that failed: why, as its service says. */
  readonly status?: CallStatus
}

/** What went wrong with a call: gRPC's codes. */
export type CallCode =
  | 'CANCELLED' | 'UNKNOWN' | 'INVALID_ARGUMENT' | 'DEADLINE_EXCEEDED' | 'NOT_FOUND' | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED' | 'RESOURCE_EXHAUSTED' | 'FAILED_PRECONDITION' | 'ABORTED' | 'OUT_OF_RANGE' | 'UNIMPLEMENTED'
  | 'INTERNAL' | 'UNAVAILABLE' | 'DATA_LOSS' | 'UNAUTHENTICATED'

/** Why a call failed. */
export interface CallStatus {
  /** What to branch on. */
  readonly code: CallCode
  /** A word of the service's own that stays the same while texts change; may be empty. */
  readonly reason: string
  /** A sentence for a person. */
  readonly message: string
  /** The same call may succeed later, and does no harm if it was done already. */
  readonly retryable: boolean
  /** What else the service tells. */
  readonly details: any
  /** Who failed: service, version, program, process; may be empty. */
  readonly origin: string
}

/** The core's error table, in the order of its stable numbers. */
export const errors: readonly { readonly number: number, readonly name: ErrorKind, readonly code: ErrorCode }[]

/** Thrown by the function of a worker: nobody is to get the job any more. Its text is the reason. */
export class Reject extends Error {}

/** Thrown by a handler: says exactly how the call failed. */
export class Status extends Error {
  constructor(code: CallCode, message: string, options?: ErrorOptions & {
    reason?: string
    details?: unknown
    /** Default: whether the code is UNAVAILABLE. */
    retryable?: boolean
  })
  code: CallCode
  reason: string
  details: unknown
  retryable: boolean
}

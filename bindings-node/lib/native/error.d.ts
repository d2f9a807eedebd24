// Written by scripts/build.mjs from the crate; do not edit.

/** One row of the core's error table. */
export interface ErrorRow {
  /** The stable number. */
  number: number
  /** The kind's name, such as `Timeout`. */
  name: string
  /** `err.code`, such as `AXONIC_TIMEOUT`. */
  code: string
}

/** A core error that the facade throws, or rejects a promise with. */
export interface Failure {
  /** The kind's name. */
  kind: string
  /** What happened. */
  message: string
}

/** Why a call failed. */
export interface StatusParts {
  /** The code's name, gRPC's. */
  code: string
  /** A word that stays the same while texts change; may be empty. */
  reason: string
  /** A sentence for a person. */
  message: string
  /** The same call may succeed later. */
  retryable: boolean
  /** What else there is to say, as JSON. */
  details: string
  /** Who failed; empty for whoever answers. */
  origin: string
}

/** What a handler threw. */
export interface ThrownParts {
  /** Its class. */
  class: string
  /** Its text. */
  text: string
  /** The kind of error that it is, or means the same as. */
  kind?: string
  /** What is told just so: of a call that failed, or what the handler says itself. */
  status?: StatusParts
}

/** The names of the codes of failed calls, in the order of their numbers. */
export function callCodes(): Array<string>

/** Every error kind, in the order of its number. */
export function errorTable(): Array<ErrorRow>

/** The class to throw: `new Class(kindName, message, { accepted, status })`. */
export function setErrorClass(constructor: new (kind: string, message: string, options: { accepted: number, status?: StatusParts }) => Error): void

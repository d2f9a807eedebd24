// Written by scripts/build.mjs from the crate; do not edit.

/** What a consumer gave as the result of a message. */
export interface Answer {
  /** Its bytes; none if the consumer gave none. */
  data: Buffer
  /** Their content type's number. */
  content: number
  /** The element type of a tensor. */
  dtype?: string
  /** The shape of a tensor. */
  shape?: Array<number>
}

/** The native ticket behind the facade's. When that is collected, the claim is given up. */
export class Ticket {
  /**
  * What became of the message; `null`: nothing yet. With `arm`, the descriptor of the queue's tickets is silent
  * afterwards until there may be news of any of them.
  */
  look(arm: boolean): Answer | null
  /** How far the work is, from 0 to 1. */
  progress(): number
}

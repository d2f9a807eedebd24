import type { Handle, Wait, WaitOptions } from './wait.js'

export interface ChannelOptions {
  /** Bytes of the largest message, to send and to receive; default 16 MiB, at most 1 GiB. The smaller one of both ends counts. */
  maxMessage?: number
  wait?: Wait
}

export interface ConnectOptions extends ChannelOptions, WaitOptions {
  /** Connects anew when the other end is gone. What was sent and not received is lost then. */
  reconnect?: boolean
}

/** What a transport can do. */
export interface Can {
  /** All that is sent arrives, once, unless the other end is gone. */
  readonly reliable: boolean
  /** Messages arrive in the order in which they were sent. */
  readonly ordered: boolean
  /** Messages arrive as they were sent; otherwise it is a stream of bytes. */
  readonly messages: boolean
  /** Who sends faster than is received is made to wait; otherwise messages are lost. */
  readonly backPressure: boolean
  /** The other end is told when this one has ended. */
  readonly end: boolean
  /** An end can say that it will send nothing more and go on receiving. */
  readonly halfClose: boolean
  /** Open descriptors can be passed. */
  readonly descriptors: boolean
  /** The kernel tells who is at the other end. */
  readonly credentials: boolean
  /** Bytes of the largest message that it takes; null: it has no limit of its own. `maxMessage` of the channel says what counts. */
  readonly maxMessage: number | null
}

/** Who is at the other end, as far as the kernel tells. */
export interface Peer {
  readonly pid: number | null
  readonly uid: number | null
  readonly gid: number | null
  /** Its socket's address, or its label in a domain. */
  readonly address: string | null
}

export interface ChannelStats {
  sentMessages: number
  sentBytes: number
  receivedMessages: number
  receivedBytes: number
  /** Sends that found no room. */
  blocked: number
}

/** A message that was received. */
export interface ChannelMessage {
  readonly data: Buffer
  /** Open descriptors that were passed with it, for the receiver to close. */
  readonly descriptors: readonly number[]
}

type Binary = NodeJS.ArrayBufferView | ArrayBufferLike

export interface SendOptions {
  /** Open descriptors of which the other end gets copies (Unix sockets). */
  descriptors?: readonly number[]
}

/**
 * One end of a channel: messages both ways, whatever carries them. `for await` receives until the other end has ended; to
 * leave it closes nothing. Dropped, it closes itself once it is collected.
 */
export interface Channel extends Handle, AsyncIterable<ChannelMessage> {
  /** The address it was opened by. */
  readonly address: string
  readonly can: Can
  readonly peer: Peer
  /** Bytes of the largest message it takes. */
  readonly maxMessage: number
  /** The pollable descriptor, readable when something may have come. */
  readonly fd: number
  /** Sends now; where there is no room it throws AXONIC_WOULD_BLOCK. */
  send(data: Binary, options?: SendOptions): void
  /** Sends as soon as there is room. */
  sendAsync(data: Binary, options?: SendOptions & WaitOptions): Promise<void>
  /**
   * Sends one after another as soon as there is room, which costs less than one by one. Resolves with how many were sent in time, the
   * first ones; rejects if none was, and when it is aborted.
   */
  sendMany(messages: Iterable<Binary>, options?: WaitOptions): Promise<number>
  /** Waits until all that was sent has gone out. `close` does not: what is left of a message then is cut off, and the other end is told. */
  flush(options?: WaitOptions): Promise<void>
  /** Says that nothing more will be sent, once all that was has gone out. The other end may still send. */
  finish(options?: WaitOptions): Promise<void>
  /** The next message, or null. */
  tryReceive(): ChannelMessage | null
  /** The next message; AXONIC_DISCONNECTED when the other end has ended and all is received. */
  receive(options?: WaitOptions): Promise<ChannelMessage>
  stats(): ChannelStats
}
export const Channel: { readonly prototype: Channel }

/**
 * The end of a pair of pipes that a child is to have:
 * `spawn(program, [child.address], { stdio: ['inherit', 'inherit', 'inherit', ...child.descriptors] })`. Close it once the child is
 * started: until then nobody hears of the child's end.
 */
export interface ChildPipe extends Handle {
  /** What the child connects to that has them behind its three standard streams, `pipe:3,4`; elsewhere, `pipe:` and their places there. */
  readonly address: string
  /** To read from, to write to. */
  readonly descriptors: readonly number[]
}
export const ChildPipe: { readonly prototype: ChildPipe }

/** Where channels are listened for. */
export interface Listener extends Handle, AsyncIterable<Channel> {
  /** The address, with what the system chose. */
  readonly address: string
  /** The pollable descriptor, readable when somebody may have connected. */
  readonly fd: number
  /** The next channel that somebody opened, or null. */
  tryAccept(): Channel | null
  /** The next channel that somebody opens. */
  accept(options?: WaitOptions): Promise<Channel>
}
export const Listener: { readonly prototype: Listener }

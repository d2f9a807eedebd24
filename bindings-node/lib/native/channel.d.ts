// Written by scripts/build.mjs from the crate; do not edit.

/** What a transport can do. */
export interface Can {
  /** All that is sent arrives, once, unless the other end is gone. */
  reliable: boolean
  /** Messages arrive in the order in which they were sent. */
  ordered: boolean
  /** Messages arrive as they were sent. */
  messages: boolean
  /** Who sends faster than is received is made to wait. */
  backPressure: boolean
  /** The other end is told when this one has ended. */
  end: boolean
  /** An end can say that it will send nothing more. */
  halfClose: boolean
  /** Open descriptors can be passed. */
  descriptors: boolean
  /** The kernel tells who is at the other end. */
  credentials: boolean
  /** Bytes of the largest message that it takes, where it has a limit of its own. */
  maxMessage?: number
}

/** The native channel behind the facade's. */
export class Channel {
  /** The address it was opened by. */
  address(): string
  /** What its transport can do. */
  can(): Can
  /** Who is at the other end. */
  peer(): Peer
  /** Bytes of the largest message it takes. */
  maxMessage(): number
  /** `(view, quiet)`: sends a view's bytes; `false` when quiet and there is no room, 1 when a part of it is kept. */
  bindSend(): (view: NodeJS.ArrayBufferView, quiet: 0 | 1) => false | 1 | undefined
  /** Sends bytes with copies of descriptors; `false` when quiet and there is no room, otherwise whether all went out. */
  sendDescriptors(data: Uint8Array, fds: Array<number>, quiet: boolean): false | 1 | undefined
  /** Sends the first of several messages, as many as there is room for; how many. */
  sendMany(messages: Array<Uint8Array>): number
  /** Sends what was kept; whether there is nothing left. */
  flush(): boolean
  /** Says that nothing more will be sent; what was kept is sent before. Whether that is done. */
  finish(): boolean
  /** `()`: the next message, of which row 0 of the table tells; 0: there is none. */
  bindReceive(): () => number
  /** Fetches the message that was announced into a view of its length, and what descriptors came with it. */
  take(target: Uint8Array): Array<number>
  /** The pollable descriptor; readable until `receive` answered that there is nothing. */
  fd(): number
  /** The descriptor that is readable when a send that found no room should be tried again. */
  sendFd(): number
  /** Counters. */
  stats(): ChannelStats
  /**
  * Ends it; a second time does nothing. It does not wait: what there is no room for now of a message that was sent in part
  * is cut off, and the other end is told; `flush` before it waits for room.
  */
  close(): void
}

/** How to open a channel, or to listen for some; what is missing takes the core's default. */
export interface ChannelSettings {
  /** Bytes of the largest message. */
  maxMessage?: number
  /** `spin`, `adaptive` or `block`. */
  wait?: string
  /** Whether whoever connects does so anew when the other end is gone. */
  reconnect?: boolean
}

/** Counters of one end of a channel. */
export interface ChannelStats {
  /** Messages sent. */
  sentMessages: number
  /** Their bytes. */
  sentBytes: number
  /** Messages received. */
  receivedMessages: number
  /** Their bytes. */
  receivedBytes: number
  /** Sends that found no room. */
  blocked: number
}

/** The end of a pair of pipes that a child is to have. */
export class ChildPipe {
  /** The descriptors that the child is to have: to read from, to write to. */
  descriptors(): Array<number>
  /** Closes this process's copy; a second time does nothing. */
  close(): void
}

/** A channel that is about to be opened. */
export class Connecting {
  /** Nobody waits for it any more. */
  giveUp(): void
  /** Readable once it is decided. */
  fd(): number
  /** The channel; `null`: it is not decided yet. */
  take(): Channel | null
}

/** The native listener behind the facade's. */
export class Listener {
  /** Its address, with what the system chose. */
  address(): string
  /** The next channel that somebody opened; `null`: nobody has. */
  accept(): Channel | null
  /** The pollable descriptor; readable until `accept` answered that nobody is there. */
  fd(): number
  /** Ends it; a second time does nothing. */
  close(): void
}

/** Who is at the other end. */
export interface Peer {
  /** Its process. */
  pid?: number
  /** Its user. */
  uid?: number
  /** Its group. */
  gid?: number
  /** Where it is. */
  address?: string
}

/** A channel to a child, and what the child is to have. */
export class Pipe {
  /** The channel, once. */
  channel(): Channel | null
  /** The child's end, once. */
  child(): ChildPipe | null
}

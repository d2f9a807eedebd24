import type { ChannelOptions } from './channel.js'
import type { Attributes } from './value.js'
import type { Handle, WaitOptions } from './wait.js'

export interface ClientOptions extends ChannelOptions {
  /** Where the service is, as a channel's address; default: at whoever provides it in the domain. */
  address?: string
}

export interface CallOptions extends WaitOptions {
  /** CloudEvents attributes that travel with the parameters; `traceparent` names the trace that the call belongs to. */
  attributes?: Attributes
  /** How the parameters are encoded; default: bytes raw, tensors as tensors, anything else as JSON. */
  content?: 'raw' | 'json' | 'msgpack'
  /** Streamed to the service as it takes it. */
  input?: Iterable<unknown> | AsyncIterable<unknown>
  /** Hears how far the work is: what was told last, and nothing more once the result is there. */
  progress?: (fraction: number, note: string) => void
}

/**
 * Items that a service streams; the call begins when the first is asked for, and is given up when none is wanted any more.
 * The value at its end is the result.
 */
export interface CallStream<T = any, R = any> extends AsyncIterableIterator<T> {
  next(): Promise<IteratorResult<T, R>>
  return(value?: any): Promise<IteratorResult<T, any>>
  [Symbol.asyncDispose](): Promise<void>
}

/** Any method of any name. */
export type AnyMethods = Record<string, (params?: any) => any>

type ParamsOf<F> = F extends (params: infer P, ...rest: any[]) => unknown ? P : never
type Returned<F> = F extends (...all: any[]) => infer R ? Awaited<R> : never
type ItemOf<F> = Returned<F> extends AsyncIterable<infer T> | Generator<infer T> ? T : any
type ResultOf<F> = Returned<F> extends AsyncGenerator<any, infer R> | Generator<any, infer R> ? R : Returned<F>
type ArgumentsOf<F> = undefined extends ParamsOf<F>
  ? [params?: ParamsOf<F>, options?: CallOptions]
  : [params: ParamsOf<F>, options?: CallOptions]

/** A method as its callers have it. */
export interface RemoteMethod<F = (params?: any) => any> {
  (...all: ArgumentsOf<F>): Promise<ResultOf<F>>
  /** Calls it as one that streams. */
  stream(...all: ArgumentsOf<F>): CallStream<ItemOf<F>, ResultOf<F>>
}

export type RemoteMethods<S> = { readonly [M in Exclude<keyof S, keyof Client>]: RemoteMethod<S[M]> }

/**
 * Calls a service, at any of its providers. Failures of calls have a `status`; that nobody provides the service rejects at
 * once with AXONIC_UNAVAILABLE. With `wait: 'spin'` a call looks for its result for some 50 us before it leaves that to the
 * event loop.
 */
export interface Client extends Handle {
  readonly service: string
  /** Calls that are under way. */
  readonly underWay: number
  /** The pollable descriptor, readable when something came for a call. */
  readonly fd: number
  /** Calls a method of any name. */
  call(method: string, params?: any, options?: CallOptions): Promise<any>
  /** Calls a method of any name that streams its results. */
  stream(method: string, params?: any, options?: CallOptions): CallStream
}
export const Client: { readonly prototype: Client }

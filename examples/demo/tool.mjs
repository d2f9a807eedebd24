// The tool: keeps the index and answers questions.
//
// It hears the passages (agent.passages) and their vectors (vectors.passages), which it reads in place, in the memory the
// plugin wrote them to, and says tool.status when it has begun and as the index grows. It provides the service `search`, in
// its domain and as JSON-RPC 2.0 on its standard input and output. It keeps nothing on disk: killed and started again, it
// announces itself and is told everything anew.

import { open, WaitSet } from 'axonic'
import { Index } from './index.mjs'

const block = { overflow: 'block' } // a full ring makes the sender wait: nothing is ever missed
const SEARCHING = 10 // milliseconds that we need ourselves to answer a question
const now = () => process.hrtime.bigint() // the clock that all processes of a machine share

class Tool {
  ax = open({ label: 'tool' }) // the domain that AXONIC_DOMAIN names
  agent = this.ax.subscriber('agent.*')
  vectors = this.ax.subscriber('vectors.passages')
  status = this.ax.publisher('tool.status', block)
  spans = this.ax.publisher('trace.spans', block)
  reports = this.ax.publisher('report.tool', block)
  embed = this.ax.client('embed', '^1')
  search = this.ax.service('search', '1.0.0', {
    query: (params, ctx) => this.query(params, ctx),
    echo: (params) => params
  })

  index = new Index()
  run = '' // which reading of the documents the index is made of
  passages = new Map() // passages that wait for their vector, by number
  hops = new Map() // what was measured, by topic
  orders = [] // messages on agent.control that were not yet obeyed

  /** Streams the passages that are most like a text, the best one first. */
  async * query ({ text, limit = 5 }, ctx) {
    await this.trace(ctx)
    // The plugin has what is left of our caller's time, but for the search, and hears of it if the caller gives up.
    const timeout = Math.max(ctx.remaining - SEARCHING, 0)
    const vector = await this.embed.vector(Buffer.from(text), { timeout, signal: ctx.signal })
    yield * this.index.search(text, vector, limit)
  }

  /** Of a call that belongs to a trace we tell that it was here, and how long its caller still waits. */
  async trace ({ traceparent, remaining }) {
    if (traceparent === null) return
    await this.spans.publishAsync('', { attributes: { by: 'tool', traceparent, left: String(remaining) } })
  }

  async main () {
    this.search.listen('pipe:0,1')
    // The subscribers exist, so from here on nothing passes us by: ask for the documents.
    await this.say(this.status, { ready: process.pid })
    const set = new WaitSet().add(this.agent).add(this.vectors)
    for (;;) {
      const ready = await set.wait({ timeout: 1000 })
      if (ready.length === 0 && this.agent.publishers === 0) return // nobody left to listen to
      this.readPassages()
      while (await this.readVectors());
      for (const order of this.orders.splice(0)) {
        if (order === 'stop') return
        if (order === 'report') await this.report()
      }
    }
  }

  /** Remembers every passage that is there now, until its vector comes. */
  readPassages () {
    for (let message; (message = this.agent.tryReceive()) !== null;) {
      const { topic, sequence, attributes, data } = message
      if (topic === 'agent.control') {
        this.orders.push(data.toString())
        continue
      }
      this.measure(message)
      if (attributes.run !== this.run) {
        // The agent reads the documents anew: so do we.
        this.run = attributes.run
        this.index.clear()
        this.passages.clear()
      }
      this.passages.set(sequence, { path: attributes.subject, line: Number(attributes.line), text: data.toString() })
    }
  }

  /** Takes the next tensor, a row for each passage. Answers whether there was one. */
  async readVectors () {
    const read = this.vectors.tryBorrow((message) => {
      this.measure(message)
      // Its passages were published before it, but we may have looked for them too early.
      this.readPassages()
      const [rows, dimensions] = message.tensor.shape
      for (let row = 0; row < rows; row++) {
        const number = Number(message.attributes.first) + row
        const passage = this.passages.get(number)
        if (!passage) continue // of a reading that began before we did, or was given up
        this.passages.delete(number)
        // A view of the publisher's memory, gone when this function returns: the index copies what it keeps.
        this.index.add(passage, message.array.subarray(row * dimensions, (row + 1) * dimensions))
      }
      return true
    })
    if (read !== null) await this.say(this.status, { run: this.run, indexed: this.index.size })
    return read !== null
  }

  say (publisher, value) {
    return publisher.publishAsync(value, { attributes: { sent: String(now()) } })
  }

  measure ({ topic, attributes, data, missed }) {
    if (!this.hops.has(topic)) this.hops.set(topic, { latencies: [], bytes: 0, missed: 0 })
    const hop = this.hops.get(topic)
    hop.latencies.push(Number(now() - BigInt(attributes.sent)))
    hop.bytes += data.length
    hop.missed += missed
  }

  /** Publishes the latencies since the last report, one tensor per topic. */
  async report () {
    for (const [topic, { latencies, bytes, missed }] of this.hops) {
      const attributes = { hop: topic, bytes: String(bytes), missed: String(missed) }
      await this.reports.publishAsync(Float64Array.from(latencies), { attributes })
    }
    this.hops.clear()
  }
}

const tool = new Tool()
await tool.main()
tool.ax.close()

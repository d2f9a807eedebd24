// The tool: keeps the index and answers questions.
//
// It hears the texts (agent.*) and their vectors (vectors.*), which it reads in place, in the memory
// the plugin wrote them to. It says tool.status when it has begun and as the index grows, and
// tool.answers. It keeps nothing on disk: killed and started again, it announces itself and is told
// everything anew.

import { open, WaitSet } from 'axonic'
import { Index } from './index.mjs'

const block = { overflow: 'block' } // a full ring makes the sender wait: nothing is ever missed
const now = () => process.hrtime.bigint() // the clock that all processes of a machine share

class Tool {
  ax = open({ label: 'tool' }) // the domain that AXONIC_DOMAIN names
  agent = this.ax.subscriber('agent.*')
  vectors = this.ax.subscriber('vectors.*')
  status = this.ax.publisher('tool.status', block)
  answers = this.ax.publisher('tool.answers', block)
  reports = this.ax.publisher('report.tool', block)

  index = new Index()
  run = '' // which reading of the documents the index is made of
  texts = new Map() // texts that wait for their vector, by topic and number
  hops = new Map() // what was measured, by topic
  orders = [] // messages on agent.control that were not yet obeyed

  async main () {
    // The subscribers exist, so from here on nothing passes us by: ask for the documents.
    await this.say(this.status, { ready: process.pid })
    const set = new WaitSet().add(this.agent).add(this.vectors)
    for (;;) {
      const ready = await set.wait({ timeout: 1000 })
      if (ready.length === 0 && this.agent.publishers === 0) return // nobody left to listen to
      this.readTexts()
      while (await this.readVectors());
      for (const order of this.orders.splice(0)) {
        if (order === 'stop') return
        if (order === 'report') await this.report()
      }
    }
  }

  /** Remembers every text that is there now, until its vector comes. */
  readTexts () {
    for (let message; (message = this.agent.tryReceive()) !== null;) {
      const { topic, sequence, attributes, data } = message
      if (topic === 'agent.control') {
        this.orders.push(data.toString())
        continue
      }
      this.measure(message)
      if (topic === 'agent.passages' && attributes.run !== this.run) {
        // The agent reads the documents anew: so do we.
        this.run = attributes.run
        this.index.clear()
        this.texts.clear()
      }
      const [, kind] = topic.split('.')
      const text = { path: attributes.subject, line: Number(attributes.line), text: data.toString(), sequence }
      this.texts.set(`${kind} ${sequence}`, text)
    }
  }

  /** Takes the next tensor, a row for each text. Answers whether there was one. */
  async readVectors () {
    const answers = []
    const read = this.vectors.tryBorrow((message) => {
      this.measure(message)
      // Its texts were published before it, but we may have looked for them too early.
      this.readTexts()
      const [, kind] = message.topic.split('.')
      const [rows, dimensions] = message.tensor.shape
      for (let row = 0; row < rows; row++) {
        const key = `${kind} ${Number(message.attributes.first) + row}`
        const text = this.texts.get(key)
        if (!text) continue // of a reading that began before we did, or was given up
        this.texts.delete(key)
        // A view of the publisher's memory, gone when this function returns: the index copies what it keeps.
        const vector = message.array.subarray(row * dimensions, (row + 1) * dimensions)
        if (kind === 'passages') this.index.add(text, vector)
        else answers.push({ question: text.sequence, hits: this.index.search(text.text, vector, 5) })
      }
      return kind
    })
    if (read === 'passages') await this.say(this.status, { run: this.run, indexed: this.index.size })
    for (const answer of answers) await this.say(this.answers, answer)
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

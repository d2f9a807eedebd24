// The index: which passages are like a question. Nothing here knows of messages.

export class Index {
  #passages = [] // { path, line, text }
  #postings = [] // for each dimension the passages that have it, and how much of it

  get size () {
    return this.#passages.length
  }

  clear () {
    this.#passages = []
    this.#postings = []
  }

  /** Keeps a passage and what is not zero in its vector. */
  add (passage, vector) {
    const number = this.#passages.push(passage) - 1
    for (let d = 0; d < vector.length; d++) {
      if (vector[d] === 0) continue
      const posting = this.#postings[d] ??= { passages: [], weights: [] }
      posting.passages.push(number)
      posting.weights.push(vector[d])
    }
  }

  /** The best passages for a question: the best of each file first, then others of the same files. */
  search (question, vector, limit) {
    const scores = this.#scores(vector)
    const better = (a, b) => scores[b] - scores[a] || a - b
    const best = new Map() // of each file
    scores.forEach((score, number) => {
      const { path } = this.#passages[number]
      if (score > (scores[best.get(path)] ?? 0)) best.set(path, number)
    })
    let found = [...best.values()].sort(better)
    if (found.length < limit) {
      const others = [...scores.keys()].filter((number) => scores[number] > 0 && !found.includes(number))
      found = found.concat(others.sort(better))
    }
    return found.slice(0, limit).map((number) => {
      const { path, line, text } = this.#passages[number]
      return { path, score: scores[number], ...excerpt(question, line, text) }
    })
  }

  /** The likeness of each passage to `vector`. What few passages have weighs more (idf). */
  #scores (vector) {
    const scores = new Float64Array(this.size)
    for (let d = 0; d < vector.length; d++) {
      const posting = this.#postings[d]
      if (vector[d] === 0 || !posting) continue
      const rarity = Math.log((this.size + 1) / (posting.passages.length + 0.5))
      posting.passages.forEach((number, i) => { scores[number] += vector[d] * rarity * posting.weights[i] })
    }
    return scores
  }
}

/** The three lines of a passage that have most of the question's words, long words counting more. */
function excerpt (question, firstLine, text) {
  const words = new Set(question.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? [])
  const stems = [...words].map((word) => word.length > 5 ? word.slice(0, -2) : word)
  const lines = text.split('\n')
  let best = 0
  let most = -1
  for (let i = 0; i < Math.max(1, lines.length - 2); i++) {
    const window = lines.slice(i, i + 3).join('\n').toLowerCase()
    const found = stems.reduce((sum, stem) => window.includes(stem) ? sum + stem.length : sum, 0)
    // A window that begins with an empty line shows less.
    if (found > most && lines[i].trim() !== '') [best, most] = [i, found]
  }
  const shown = lines.slice(best, best + 3).map((line) => line.slice(0, 200))
  return { line: firstLine + best, text: shown.join('\n') }
}

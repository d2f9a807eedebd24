// What the tests share: a runtime directory of their own, children, and patience.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import axonic from '../index.mjs'

export * from '../index.mjs'

const directory = mkdtempSync('/dev/shm/axonic-test-node-')
process.env.AXONIC_RUNTIME_DIR = directory
const opened = new Set()
let count = 0

// Whatever a test did, afterwards no object of a domain is left in shared memory.
after(async () => {
  for (const domain of opened) domain.close()
  // What was collected already closes itself in a turn to come.
  for (let turn = 0; turn < 100 && leftovers().length > 0; turn++) await sleep(5)
  const left = leftovers()
  rmSync(directory, { recursive: true })
  assert.deepEqual(left, [], 'something was left behind')
})

/** Files of objects below the runtime directory. */
export function leftovers () {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => `${entry.parentPath ?? entry.path}/${entry.name}`.slice(directory.length))
}

/** A domain of the test's own, closed at the end of the file if the test does not. */
export function domain (name = `test-${process.pid}-${count++}`, options = {}) {
  const ax = axonic.open(name, options)
  opened.add(ax)
  return ax
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Waits until `condition` holds; the test fails when it does not in time. */
export async function until (condition, what = String(condition), patience = 10_000) {
  const end = performance.now() + patience
  while (!(await condition())) {
    assert.ok(performance.now() < end, `in vain: ${what}`)
    await sleep(5)
  }
}

/** Checks for an AxonicError of this kind. */
export function is (kind) {
  return (error) => {
    assert.ok(error instanceof axonic.AxonicError, `${error?.stack ?? error} is no AxonicError`)
    assert.equal(error.kind, kind, error.message)
    assert.equal(error.code, axonic.errors.find((row) => row.name === kind).code)
    return true
  }
}

/** Runs a program of `children/`; resolves with how it ended and what it wrote. */
export function child (name, ...args) {
  const path = fileURLToPath(new URL(`children/${name}.mjs`, import.meta.url))
  // A child called `name:n` gets n descriptors at most.
  const [file, limit] = path.replace('.mjs', '').split(':')
  const command = [process.execPath, '--expose-gc', '--unhandled-rejections=strict', `${file}.mjs`, ...args]
  const line = limit === undefined ? command : ['sh', '-c', `ulimit -n ${limit}; exec "$@"`, 'sh', ...command]
  const process_ = spawn(line[0], line.slice(1), {
    stdio: ['pipe', 'pipe', 'pipe']
  })
  const out = { process: process_, stdout: '', stderr: '', ended: undefined }
  process_.stdout.on('data', (data) => { out.stdout += data })
  process_.stderr.on('data', (data) => { out.stderr += data })
  const timer = setTimeout(() => process_.kill('SIGKILL'), 20_000)
  out.ended = new Promise((resolve) => {
    process_.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout: out.stdout, stderr: out.stderr })
    })
  })
  /** Waits until the child wrote this. */
  out.said = (text) => until(() => out.stdout.includes(text), `child ${name} says ${text}\n${out.stderr}`)
  return out
}

import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { domain } from './helper.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
const command = `${root}${manifest.bin.axonic}`
const run = (...args) => spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 })

describe('command', { timeout: 60_000 }, () => {
  it('is the same program as everywhere', () => {
    assert.equal(run('--version').stdout, `axonic ${manifest.version}\n`)
    const wrong = run('nonsense')
    assert.equal(wrong.status, 2)
    assert.match(wrong.stderr, /nonsense/)
  })

  it('sees this process and names it', () => {
    const ax = domain(undefined, { label: 'the-suite' })
    const pub = ax.publisher('seen')
    const listing = run('ls', '--domain', ax.name)
    assert.equal(listing.status, 0, listing.stderr)
    assert.match(listing.stdout, /the-suite/)
    assert.match(listing.stdout, /seen/)
    pub.close()
  })

  it('measures, and starts itself again for that', () => {
    const { status, stdout, stderr } = run('bench', '--json', '--seconds', '0.5')
    assert.equal(status, 0, stderr)
    const cases = JSON.parse(stdout).results.map((row) => row.case)
    for (const wanted of ['round_trip_blocking', 'throughput']) assert.ok(cases.includes(wanted), wanted)
    assert.doesNotMatch(run('ls').stdout, /bench/)
  })

  it('publishes to us', async () => {
    const ax = domain()
    const sub = ax.subscriber('news')
    const waiting = sub.receive({ timeout: 10_000 })
    const { status, stderr } = run('pub', '--domain', ax.name, 'news', '{"id":1}', '--json')
    assert.equal(status, 0, stderr)
    assert.deepEqual((await waiting).value, { id: 1 })
  })

  it('prints what we publish until it is interrupted', async (t) => {
    const ax = domain()
    const printing = spawn(command, ['sub', '--domain', ax.name, 'news'], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => printing.kill('SIGKILL'))
    const pub = ax.publisher('news')
    await pub.waitForSubscribers(1, { timeout: 10_000 })
    pub.publish(Buffer.from('hello'))
    const [line] = await once(printing.stdout, 'data')
    assert.match(String(line), /hello/)
    printing.kill('SIGINT')
    const [code, signal] = await once(printing, 'exit')
    assert.deepEqual([code, signal], [0, null], 'an interrupted `sub` has done what it was asked')
  })
})

describe('package', () => {
  it('has everything but the native part, and nothing else', () => {
    const quiet = ['ignore', 'pipe', 'ignore']
    const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: root, stdio: quiet }))
    const paths = files.map((file) => file.path)
    const conditions = manifest.exports['.']
    const needed = [
      conditions.import.default, conditions.import.types, conditions.require.default, conditions.require.types,
      manifest.main, manifest.types, manifest.bin.axonic, 'package.json', 'README.md'
    ]
    for (const path of needed) assert.ok(paths.includes(path.replace(/^\.\//, '')), `${path} is not packed`)
    const strays = paths.filter((path) => /^(test|src|node_modules|scripts)\//.test(path) || /(?<!\.d)\.m?ts$|\.node$/.test(path))
    assert.deepEqual(strays, [])
    assert.ok(statSync(command).mode & 0o111, 'the command can be executed')
  })
})

#!/usr/bin/env node
'use strict'

// The `axonic` command: the same program as the Rust, C and Python packages ship.

const again = [process.execPath, ...process.execArgv, __filename]
process.exitCode = require('../lib/native.js').cli(process.argv.slice(2), again)

// The same types through `require`.

import axonic = require('axonic')

const ax: axonic.Domain = axonic.open('d')
const sub: axonic.Subscriber<{ id: number }> = ax.subscriber('t')
sub.tryReceive()?.value.id satisfies number | undefined

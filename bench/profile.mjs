/**
 * Counts how often each handler of the interpreter runs, over the boots and the programs of both guests, and writes the
 * list of those that belong into its big function: src/engine/soft/isa/hot.ts. Run it when the instruction definitions
 * have changed much: `node bench/profile.mjs --write`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SoftEngine } from '../dist/engine/soft/engine.js';
import { generate } from '../dist/engine/soft/generate.js';
import { createMachine } from '../dist/index.js';
import { benchGuest } from './lib/guests.mjs';

/** Unused memory between the jump cache and the TLB's lists (src/engine/soft/layout.ts): 16,384 counters. */
const COUNTERS = 0x170000;
/** A handler below this share of every workload stays outside. */
const SHARE = 2e-5;

const { values: options } = parseArgs({ options: { write: { type: 'boolean', default: false } } });
const dist = new URL('../dist/engine/soft/', import.meta.url);
const generated = generate(COUNTERS);
const modules = {
  core: new WebAssembly.Module(readFileSync(new URL('core.wasm', dist))),
  interpreter: new WebAssembly.Module(generated.interpreter),
  tables: generated.tables,
};

async function count(arch, words) {
  const guest = benchGuest(arch);
  let soft;
  const machine = createMachine({
    kernel: guest.kernel,
    initrd: [guest.initrd],
    append: `console=ttyS0 quiet cryptomgr.notests ${words}`,
    config: { arch, memory: 512 * 2 ** 20, reboot: false },
    engine: {
      name: 'soft',
      reason: 'profile',
      create: async (config) => (soft = new SoftEngine(config, modules)),
      prepare: async () => {},
      close: async () => {},
    },
  });
  await machine.start();
  const view = new DataView(soft.linear.buffer);
  const counts = generated.names.map((_, i) => view.getUint32(COUNTERS + i * 4, true));
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.map((n) => n / total);
}

const shares = new Map();
for (const arch of ['amd64', 'i386']) {
  for (const words of ['vmm.do=poweroff', 'vmm.do=bench vmm.bench=all vmm.scale=3']) {
    for (const [i, share] of (await count(arch, words)).entries())
      shares.set(generated.names[i], Math.max(shares.get(generated.names[i]) ?? 0, share));
  }
}
const hot = [...shares]
  .filter(([name, share]) => share > SHARE && !name.startsWith('fixed'))
  .sort((a, b) => b[1] - a[1]);
for (const [name, share] of hot.slice(0, 50)) console.error(name.padEnd(40), `${(share * 100).toFixed(2)} %`);
console.error(`${hot.length} handlers above ${SHARE * 100} % of some workload`);
if (options.write) {
  const keys = hot.map(([name]) => name).sort();
  writeFileSync(
    new URL('../src/engine/soft/isa/hot.ts', import.meta.url),
    `/** Handlers that become cases of the interpreter's big function, by what bench/profile.mjs has counted. */\nexport const HOT: ReadonlySet<string> = new Set(\n  \`\n${keys.map((k) => `  ${k}`).join('\n')}\n\`\n    .trim()\n    .split(/\\s+/),\n);\n`,
  );
}
process.exit(0);

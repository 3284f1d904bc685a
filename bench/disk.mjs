/**
 * Measures a disk against QEMU's TCG: the same kernel, initial RAM disk and raw file in the host's page cache, O_DIRECT in the
 * guest (programs/bench.c, `disk`), the two launchers in turn, medians, ratios and a verdict on each target.
 * `node bench/disk.mjs [--runs N] [--scale PERCENT] [--size MIB] [--format raw|qcow2]`; needs a build and QEMU.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { f, median, row } from './lib/figures.mjs';
import { launcher } from './lib/launchers.mjs';
import { stamp } from './lib/stamp.mjs';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    scale: { type: 'string', default: '100' },
    size: { type: 'string', default: '256' },
    format: { type: 'string', default: 'raw' },
    folder: { type: 'string', default: tmpdir() },
    launchers: { type: 'string', default: 'ours,qemu' },
  },
});
/** Ours over QEMU's, at least. */
const TARGETS = {
  'READ 1M': 0.8,
  'WRITE 1M': 0.8,
  'READ 4k': 1,
  'RANDREAD 4k': 1,
  'RANDWRITE 4k': 1,
  'FSYNC 4k': 1,
};
const MODULES = 'virtio_ring,virtio,virtio_pci_modern_dev,virtio_pci_legacy_dev,virtio_pci,virtio_blk';

const folder = mkdtempSync(join(options.folder, 'typevisor-disk-'));
const image = join(folder, 'disk.img');
if (options.format === 'raw') writeFileSync(image, new Uint8Array(Number(options.size) * 2 ** 20).fill(0x5a));
else spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, `${options.size}M`]);

function command(who) {
  const words = `vmm.do=disk vmm.mods=${MODULES} vmm.scale=${options.scale}`;
  const base = launcher(who, 'amd64', words);
  if (who === 'ours') return [...base, '--disk', `${image},format=${options.format}`];
  return [
    ...base,
    ...['-drive', `file=${image},format=${options.format},if=none,id=d`],
    ...['-device', 'virtio-blk-pci,drive=d'],
  ];
}

const who = options.launchers.split(',');
const found = Object.fromEntries(who.map((name) => [name, new Map()]));
try {
  for (let n = 0; n < Number(options.runs); n++) {
    for (const name of who) {
      const result = await stamp(command(name), { until: /^DISK-DONE/, timeout: 240 });
      for (const { text } of result.lines) {
        const [, what, rate] = /^DISK-(.+) x \d+: .* (\d+) iops/.exec(text) ?? [];
        if (what !== undefined) found[name].set(what, [...(found[name].get(what) ?? []), Number(rate)]);
      }
      if (found[name].size === 0)
        console.log(`ERROR: ${name} measured nothing: ${result.errors} ${result.lines.at(-1)?.text}`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const widths = [16, ...who.map(() => 12), 8, 8];
row([`disk (${options.format})`, ...who.map((name) => `${name} /s`), 'ratio', 'target'], widths);
for (const what of found[who[0]].keys()) {
  const rates = who.map((name) => median(found[name].get(what) ?? [Number.NaN]));
  const ratio = rates[0] / (rates[1] ?? Number.NaN);
  const target = TARGETS[what];
  const verdict = target === undefined || Number.isNaN(ratio) ? '' : `${ratio >= target ? 'ok' : 'MISS'} ${target}`;
  row([what, ...rates.map((rate) => f(rate, 0)), f(ratio), verdict], widths);
}

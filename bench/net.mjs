/**
 * Measures the user network against QEMU's, in turn (A B A B …) and in one run: TCP in bulk both ways, and round trips of one
 * byte. The guest, its kernel and its program are the same; the times are the host's, taken by the program's other half.
 * Round trips are measured twice: the first ones of a guest that has just booted, and once the engines have got to know their
 * code (what runs once in a round trip is interpreted until it has run some thousand times).
 *   node bench/net.mjs [--runs N] [--megabytes N] [--pings N] [--warm N] [--launchers ours,qemu]
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeCpio } from '../dist/boot/cpio.js';
import { fetchDebianGuest } from '../dist/host/node/debian.js';
import { median } from './lib/figures.mjs';
import { benchCache } from './lib/guests.mjs';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    megabytes: { type: 'string', default: '64' },
    pings: { type: 'string', default: '2000' },
    warm: { type: 'string', default: '16000' },
    launchers: { type: 'string', default: 'ours,qemu' },
    verbose: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
const bytes = Number(values.megabytes) * 2 ** 20;
const pings = Number(values.pings);
/** Round trips between the first ones and the last. */
const warm = Number(values.warm);
const PORT = 5099;
const CLI = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const SOURCE = fileURLToPath(new URL('net/netbench.c', import.meta.url));
/** Ours divided by QEMU's: what is to be reached; of the first round trips nothing is. */
const TARGETS = { send: ['at least', 1.0], receive: ['at least', 1.0], first: undefined, ping: ['at most', 1.2] };

const work = join(benchCache(), 'net');
mkdirSync(work, { recursive: true });
const program = join(work, 'netbench');
const compiled = spawnSync('gcc', ['-O2', '-static', '-o', program, SOURCE], { encoding: 'utf8' });
if (compiled.status !== 0) {
  console.error(`gcc could not compile ${SOURCE}: ${compiled.error?.message ?? compiled.stderr}`);
  process.exit(1);
}

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox modprobe -a virtio_pci virtio_net
/bin/busybox ip addr add 10.0.2.15/24 dev eth0
/bin/busybox ip link set eth0 up
for mode in "ping ${pings}" "send ${bytes}" "receive ${bytes}" "ping ${warm}" "ping ${pings}" "send ${bytes}" "receive ${bytes}"; do
  set -- $mode
  /netbench $1 10.0.2.2 ${PORT} $2 || echo "FAILED $mode"
done
echo DONE
/bin/busybox poweroff -f
`;
const debian = await fetchDebianGuest({ arch: 'amd64' });
const initrd = join(work, `initrd-${process.pid}.cpio`);
const overlay = writeCpio([
  { type: 'file', path: 'netinit', mode: 0o755, data: new TextEncoder().encode(INIT) },
  { type: 'file', path: 'netbench', mode: 0o755, data: readFileSync(program) },
]);
writeFileSync(initrd, Buffer.concat([readFileSync(debian.initrd), overlay]));

function command(who) {
  const append = 'console=ttyS0 quiet cryptomgr.notests panic=-1 rdinit=/netinit';
  if (who === 'ours') {
    const machine = ['--engine', 'soft', '--memory', '512M', '--no-reboot', '--net', 'user,host-loopback=on'];
    return [
      process.execPath,
      CLI,
      'run',
      ...machine,
      '--kernel',
      debian.kernel,
      '--initrd',
      initrd,
      '--append',
      append,
    ];
  }
  const machine = '-accel tcg -M pc -m 512 -nodefaults -no-reboot -display none -serial stdio'.split(' ');
  const net = ['-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n'];
  return ['qemu-system-x86_64', ...machine, ...net, '-kernel', debian.kernel, '-initrd', initrd, '-append', append];
}

/** Runs a launcher once. @returns MB/s both ways, the best of both tries; microseconds of the first round trips and the last */
async function measure(who) {
  const server = spawn(program, ['serve', String(PORT)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let report = '';
  server.stdout.setEncoding('utf8').on('data', (text) => (report += text));
  while (!report.includes('listening')) await new Promise((resolve) => setTimeout(resolve, 20));
  const [file, ...args] = command(who);
  const guest = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  guest.stdout.setEncoding('latin1').on('data', (text) => (output += text));
  const limit = setTimeout(() => guest.kill('SIGKILL'), 120_000);
  await new Promise((resolve) => guest.on('close', resolve));
  clearTimeout(limit);
  server.kill();
  if (values.verbose) console.log(`${who}: ${report.replaceAll('\n', '; ')}`);
  if (!output.includes('DONE') || output.includes('FAILED'))
    throw new Error(`${who} did not finish: ${output.slice(-300)}`);
  const found = { send: [], receive: [], ping: [] };
  for (const [, mode, seconds] of report.matchAll(/^(\w+) \d+ ([\d.]+)$/gm)) found[mode].push(Number(seconds));
  const speed = (seconds) => bytes / Math.min(...seconds) / 1e6;
  const latency = (seconds) => (seconds / pings) * 1e6;
  return {
    send: speed(found.send),
    receive: speed(found.receive),
    first: latency(found.ping[0]),
    ping: latency(found.ping.at(-1)),
  };
}

const launchers = values.launchers.split(',');
const results = Object.fromEntries(launchers.map((who) => [who, []]));
try {
  for (let i = 0; i < runs; i++) for (const who of launchers) results[who].push(await measure(who));
} finally {
  if (existsSync(initrd)) rmSync(initrd);
}
const middle = (who, mode) => median(results[who].map((result) => result[mode]));
console.log(`${bytes / 2 ** 20} MiB each way, ${pings} round trips, first and after ${warm}, medians of ${runs}`);
for (const [mode, wanted] of Object.entries(TARGETS)) {
  const unit = mode === 'ping' || mode === 'first' ? 'µs' : 'MB/s';
  const figures = launchers.map((who) => `${who} ${middle(who, mode).toFixed(1)} ${unit}`).join(', ');
  if (!launchers.includes('ours') || !launchers.includes('qemu')) {
    console.log(`${mode.padEnd(8)} ${figures}`);
    continue;
  }
  const ratio = middle('ours', mode) / middle('qemu', mode);
  let line = `${mode.padEnd(8)} ${figures}: ${ratio.toFixed(2)} x`;
  if (wanted) {
    const [sense, target] = wanted;
    const passed = sense === 'at least' ? ratio >= target : ratio <= target;
    line += `, ${sense} ${target} wanted: ${passed ? 'PASS' : 'MISS'}`;
  }
  console.log(line);
}

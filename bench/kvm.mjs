// node bench/kvm.mjs: the KVM engine against C on the same host, in one run and in turn. Needs /dev/kvm, gcc and a build.
// Figures and their targets are in README.md.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KvmEngine } from '../dist/engine/kvm/engine.js';
import { NodeKvmHost } from '../dist/host/node/kvm/host.js';
import { tinyKernel } from './lib/tiny-kernel.mjs';

const RUNS = 3;
const MIB = 1 << 20;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

// ---- the guests: 32-bit, flat, at 1000h; the handler of vector 50h at 1800h ------------------------------------------
const PORT = 0x80;
const DOORBELL = 0x1000_0000;
const VECTOR = 0x50;
const guest = (main, handler = []) => {
  const code = new Uint8Array(0x1000);
  code.set(main);
  code.set(handler, 0x800);
  return code;
};
const EXITS = guest([0xe6, PORT, 0xeb, 0xfc]); // out 80h, al; jmp
const DOORBELLS = guest(
  // sti; mov word [DOORBELL], 1; jmp $
  [0xfb, 0x66, 0xc7, 0x05, 0, 0, 0, 0x10, 1, 0, 0xeb, 0xfe],
  // mov dword [EOI], 0; out 80h, al; mov esp, 8000h; jmp 1000h
  [0xc7, 0x05, 0xb0, 0, 0xe0, 0xfe, 0, 0, 0, 0, 0xe6, PORT, 0xbc, 0, 0x80, 0, 0, 0xe9, 0xea, 0xf7, 0xff, 0xff],
);

const nothing = () => {};
const sink = { portIn: () => 0, portOut: nothing, mmioRead: () => 0, mmioWrite: nothing, readMsr: nothing };
Object.assign(sink, { writeMsr: () => false, acknowledgeInterrupt: () => -1, readCr8: () => 0, writeCr8: nothing });

/** One vCPU with a guest in place, about to run. */
function open(host, code) {
  const engine = new KvmEngine({ memorySize: 2 * MIB, cpus: 1, sink, tscHz: 1e9, irqchip: 'kernel' }, host);
  const { memory } = engine;
  const [vcpu] = engine.vcpus;
  memory.write(0x1000, code);
  const words = (...values) => new Uint8Array(BigUint64Array.from(values).buffer);
  memory.write(0x3000, words(0n, 0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn));
  memory.write(0x4000 + VECTOR * 8, words(0x0000_8e00_0008_1800n));
  const state = vcpu.getState();
  const segment = (selector, attributes) => ({ selector, base: 0n, limit: 0xffff_ffff, attributes });
  const data = segment(16, 0xc093);
  const gpr = state.gpr.map((_, i) => (i === 4 ? 0x8000n : 0n));
  const tables = { gdtr: { base: 0x3000n, limit: 0x17 }, idtr: { base: 0x4000n, limit: 0x7ff } };
  const segments = { cs: segment(8, 0xc09b), ss: data, ds: data, es: data, fs: data, gs: data };
  vcpu.setState({ ...state, ...tables, ...segments, gpr, cr0: 0x11n, rip: 0x1000n, rflags: 2n });
  vcpu.enableLapic();
  return engine;
}

/** Serves the guest for a while and gives the median ns per write of the port. `count` tells the writes so far. */
function measure(engine, count) {
  const server = { select: nothing, ended: (_, exit) => console.error(exit) };
  engine.parallel.start();
  const samples = [];
  let at = performance.now();
  let seen = count();
  const end = at + 2000;
  while (at < end) {
    engine.parallel.serve(5e6, server);
    const now = performance.now();
    const writes = count();
    if (now - at < 10 || writes === seen) continue;
    samples.push(((now - at) * 1e6) / (writes - seen));
    at = now;
    seen = writes;
  }
  engine.close();
  return median(samples);
}

function exitsHere(host) {
  const engine = open(host, EXITS);
  engine.shortcuts.latch(PORT);
  return measure(engine, () => engine.vcpus[0].ownExits);
}

/** The same exit, answered by the machine's thread. */
function exitsThere(host) {
  const engine = open(host, EXITS);
  let count = 0;
  sink.portOut = () => void count++;
  return measure(engine, () => count);
}

function doorbells(host) {
  const engine = open(host, DOORBELLS);
  engine.shortcuts.latch(PORT);
  engine.shortcuts.doorbell(DOORBELL, 2, 1, () => engine.controllers.signalMsi(0xfee0_0000, VECTOR));
  return measure(engine, () => engine.vcpus[0].ownExits);
}

// ---- a whole process -----------------------------------------------------------------------------------------------

/** Starts the command line with a guest that says one letter and then waits for ever. */
async function process4G(folder) {
  const kernel = join(folder, 'kernel');
  writeFileSync(kernel, tinyKernel());
  const args = ['run', '--engine', 'kvm', '--memory', '4096M', '--kernel', kernel];
  const from = performance.now();
  const child = spawn(process.execPath, [here('../dist/cli/main.js'), ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const start = performance.now() - from;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const before = cpuTime(child.pid);
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const idle = (cpuTime(child.pid) - before) / 5;
  const resident = residents(child.pid);
  child.kill('SIGKILL');
  return { start, idle, resident };
}

/** Seconds of processor time so far. */
function cpuTime(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Resident MiB by what they are. */
function residents(pid) {
  const sums = { 'guest RAM': 0, 'node and libraries': 0, 'JavaScript, threads, the rest': 0 };
  let kind = '';
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)$/.exec(line);
    if (mapping !== null) {
      kind = mapping[1].startsWith('/memfd:guest RAM')
        ? 'guest RAM'
        : mapping[1].startsWith('/')
          ? 'node and libraries'
          : 'JavaScript, threads, the rest';
    }
    const size = /^Rss: +(\d+) kB$/.exec(line);
    if (size !== null) sums[kind] += Number(size[1]) / 1024;
  }
  return sums;
}

// ---- the run ---------------------------------------------------------------------------------------------------------

function row(name, ours, theirs, limit) {
  const ratio = ours / theirs;
  const verdict = limit === undefined ? '' : ratio <= limit ? `PASS (at most ${limit})` : `MISS (at most ${limit})`;
  console.log(
    `${name.padEnd(42)} ${ours.toFixed(0).padStart(8)} ${theirs.toFixed(0).padStart(8)} ${ratio.toFixed(2).padStart(6)}  ${verdict}`,
  );
}

function line(name, value, unit, limit) {
  const verdict = limit === undefined ? '' : value <= limit ? `PASS (at most ${limit})` : `MISS (at most ${limit})`;
  console.log(`${name.padEnd(42)} ${value.toFixed(1).padStart(8)} ${unit.padEnd(8)}         ${verdict}`);
}

if (!existsSync('/dev/kvm')) {
  console.error('There is no /dev/kvm here: nothing to measure.');
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), 'typevisor-kvm-'));
try {
  const binary = join(folder, 'kvm');
  execFileSync('gcc', ['-O2', '-pthread', '-o', binary, here('kvm.c')], { stdio: 'inherit' });
  const inC = (what, count, input) => {
    const { status, stdout, stderr } = spawnSync(binary, [what, String(count)], { input, encoding: 'utf8' });
    if (status !== 0) throw new Error(`The C program failed: ${stderr}`);
    return Number(stdout);
  };
  const host = new NodeKvmHost();
  const figures = { here: [], there: [], bell: [], cExits: [], cBell: [] };
  for (let run = 0; run < RUNS; run++) {
    figures.cExits.push(inC('exits', 100_000, EXITS));
    figures.here.push(exitsHere(host));
    figures.there.push(exitsThere(host));
    figures.cBell.push(inC('doorbells', 20_000, DOORBELLS));
    figures.bell.push(doorbells(host));
  }
  host.close();
  console.log(`${''.padEnd(42)} ${'ours, ns'.padStart(8)} ${'C, ns'.padStart(8)} ${'ratio'.padStart(6)}`);
  row('exit for a port, on the vCPU’s thread', median(figures.here), median(figures.cExits), 1.15);
  row('exit for a port, in the machine’s thread', median(figures.there), median(figures.cExits));
  row('ioeventfd to interrupt', median(figures.bell), median(figures.cBell), 1.3);
  const whole = [];
  for (let run = 0; run < RUNS; run++) whole.push(await process4G(folder));
  line('process start to the guest’s first line, 4 GiB', median(whole.map(({ start }) => start)), 'ms', 120);
  line('idle guest, of a core', median(whole.map(({ idle }) => idle * 100)), '%', 1);
  const beside = ({ resident }) => Object.values(resident).reduce((a, b) => a + b) - resident['guest RAM'];
  line('resident beside guest RAM', median(whole.map(beside)), 'MiB', 120);
  for (const [what, size] of Object.entries(whole[0].resident)) line(`  ${what}`, size, 'MiB');
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * Times single loops of the bench programs on the bare engine, without a guest system: seconds to see what a change to an
 * instruction does. Processor time, warm (--times 1: cold). `node bench/loops.mjs [names] [--scale PERCENT] [--arch i386]`; needs a build. Interpreter, regions and
 * the processor itself run the same machine code; checksums are compared.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SoftEngine } from '../dist/engine/soft/engine.js';
import { restoreHandlers } from '../dist/engine/soft/isa/stored.js';
import { SynchronousCompiler } from '../dist/engine/soft/region/job.js';
import { collectGarbage } from '../dist/host/node/collect.js';
import { askForWasmFeatures } from '../dist/host/node/wasm-flags.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const SOFT = join(HERE, '../dist/engine/soft');
const ALL = ['crc', 'sha', 'collatz', 'div', 'fib', 'interp', 'nbody', 'mandel', 'nbody87', 'mandel87', 'copy'];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: 'string', default: '5' },
    times: { type: 'string', default: '2' },
    arch: { type: 'string', default: 'amd64' },
    only: { type: 'string', default: 'interpreter,regions' },
  },
});
askForWasmFeatures();
const names = positionals.length ? positionals : ALL;
const long = values.arch === 'amd64';

// ---- the programs: functions of bench.c and fp.c, without its libc -------------------------------------------------------
const SOURCE = `
#define main bench_main
#include "${HERE}/programs/bench.c"
#undef main
void *memcpy(void *d, const void *s, size_t n) {
  char *a = d; const char *b = s;
  for (; n >= 16; n -= 16, a += 16, b += 16)
    __asm__ volatile("movdqu (%1),%%xmm0; movdqu %%xmm0,(%0)" :: "r"(a), "r"(b) : "xmm0", "memory");
  while (n--) *a++ = *b++;
  return d;
}
static uint32_t b_copy(void) {
  static char a[1 << 16], b[1 << 16];
  for (int i = 0; i < 1 << 16; i++) a[i] = i * 7;
  for (long r = 0; r < N(8192); r++) { memcpy(b, a, sizeof a); a[r & 0xffff]++; }
  return b[77];
}
__attribute__((used)) uint32_t run_one(long which, long percent) {
  scale = percent;
  switch (which) {
    ${ALL.map((n, i) => `case ${i}: return b_${n}();`).join('\n')}
  }
  return 0;
}
#ifdef NATIVE
int main(int c, char **v) {
  clock_t t = clock();
  uint32_t r = run_one(atol(v[1]), atol(v[2]));
  printf("%.6f %u\\n", (double)(clock() - t) / CLOCKS_PER_SEC, r);
}
#else
#ifdef __x86_64__
__asm__(".globl start\\nstart: fninit\\ncall run_one\\nhlt");
#else
__asm__(".globl start\\nstart: fninit\\n push %esi\\n push %edi\\n call run_one\\nhlt");
#endif
#endif
`;
const scratch = mkdtempSync(join(tmpdir(), 'typevisor-loops-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
function gcc(...args) {
  const r = spawnSync('gcc', args, { encoding: 'utf8', cwd: scratch });
  if (r.status !== 0) throw new Error(`gcc ${args.join(' ')}: ${r.stderr}`);
}
const FLAGS = [
  '-O2',
  '-fno-math-errno',
  '-fno-tree-vectorize',
  '-ffp-contract=off',
  '-fno-stack-protector',
  '-fno-pic',
];
const MACHINE = long ? ['-m64'] : ['-m32', '-march=i686', '-msse2'];
writeFileSync(join(scratch, 'loops.c'), SOURCE);
for (const [out, ...more] of [
  ['fp.o', '-mfpmath=sse', join(HERE, 'programs/fp.c')],
  ['fp87.o', '-mfpmath=387', '-DX87', join(HERE, 'programs/fp.c')],
  ['bare.o', '-mfpmath=sse', '-ffunction-sections', '-fdata-sections', '-w', 'loops.c'],
  ['native.o', '-mfpmath=sse', '-DNATIVE', '-w', 'loops.c'],
])
  gcc(...FLAGS, ...MACHINE, '-c', '-o', out, ...more);
const BARE = [
  '-no-pie',
  '-static',
  '-nostdlib',
  '-Wl,--gc-sections',
  '-Wl,-e,start',
  '-Wl,-Ttext=0x401000',
  '-Wl,--build-id=none',
];
gcc(...MACHINE, ...BARE, '-o', 'bare', 'bare.o', 'fp.o', 'fp87.o');
gcc(...MACHINE, '-no-pie', '-o', 'native', 'native.o', 'fp.o', 'fp87.o', '-lm');

// ---- a machine: flat, identity-mapped by large pages, SSE on -------------------------------------------------------------
const RAM = 64 << 20;
const STACK = 0x3f0_0000;
const TABLES = 0x10_0000;

const handlers = () => restoreHandlers(JSON.parse(readFileSync(join(SOFT, 'handlers.json')).toString()));

function machine(regions) {
  const fail = () => {
    throw new Error('the program left its RAM');
  };
  const sink = {
    portIn: () => 0,
    portOut: () => {},
    mmioRead: fail,
    mmioWrite: fail,
    readMsr: () => undefined,
    writeMsr: () => false,
    acknowledgeInterrupt: () => -1,
    readCr8: () => 0,
    writeCr8: () => {},
    readTsc: () => 0,
    entropy: () => 1,
  };
  const read = (name) => readFileSync(join(SOFT, name));
  const modules = {
    core: new WebAssembly.Module(read('core.wasm')),
    interpreter: new WebAssembly.Module(read('interp.wasm')),
    tables: read('tables.bin'),
    ...(regions && {
      regions: {
        flow: read('flow.bin'),
        compiler: () => new SynchronousCompiler(handlers()),
        collect: collectGarbage,
        patience: 1,
      },
    }),
  };
  const engine = new SoftEngine({ memorySize: RAM, cpus: 1, sink, tscHz: 2e9, arch: values.arch }, modules);
  const elf = readFileSync(join(scratch, 'bare'));
  const ph = long
    ? { at: Number(elf.readBigUInt64LE(32)), size: 56, count: elf.readUInt16LE(56), off: 8, va: 16, fs: 32, wide: true }
    : { at: elf.readUInt32LE(28), size: 32, count: elf.readUInt16LE(44), off: 4, va: 8, fs: 16, wide: false };
  const word = (at) => (ph.wide ? Number(elf.readBigUInt64LE(at)) : elf.readUInt32LE(at));
  for (let i = 0; i < ph.count; i++) {
    const at = ph.at + i * ph.size;
    if (elf.readUInt32LE(at) !== 1) continue;
    const from = word(at + ph.off);
    engine.memory.write(word(at + ph.va), elf.subarray(from, from + word(at + ph.fs)));
  }
  const entry = word(24);
  const put = (at, value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    engine.memory.write(at, bytes);
  };
  put(TABLES, TABLES + 0x1007);
  put(TABLES + 0x1000, TABLES + 0x2007);
  for (let i = 0; i < RAM >> 21; i++) put(TABLES + 0x2000 + i * 8, (i << 21) | 0xe7);
  return { engine, entry };
}

/** Runs a program some times; processor time of the last one, when everything has been compiled. */
function run(which, regions) {
  const { engine, entry } = machine(regions);
  const cpu = engine.vcpus[0];
  const s = cpu.getState();
  s.cr0 = 0x8001_0033n & ~8n;
  s.cr3 = BigInt(TABLES);
  s.cr4 = 0x620n;
  s.efer = 0x500n;
  s.cs = { selector: 8, base: 0n, limit: 0xffff_ffff, attributes: long ? 0xa09b : 0xc09b };
  for (const name of ['ss', 'ds', 'es', 'fs', 'gs'])
    s[name] = { selector: 16, base: 0n, limit: 0xffff_ffff, attributes: 0xc093 };
  s.rip = BigInt(entry);
  s.gpr[4] = BigInt(STACK);
  s.gpr[7] = BigInt(which);
  s.gpr[6] = BigInt(Math.round(Number(values.scale)));
  s.rflags = 2n;
  s.activity = 'running';
  let seconds = 0;
  let instructions = 0;
  for (let i = 0; i < Number(values.times); i++) {
    cpu.setState(s);
    instructions = cpu.instructions;
    const { user, system } = process.cpuUsage();
    let exit;
    do exit = cpu.run(2_000_000);
    while (exit.kind === 'budget');
    if (exit.kind !== 'hlt') throw new Error(`the program ended with ${JSON.stringify(exit)} at ${cpu.getState().rip}`);
    const spent = process.cpuUsage({ user, system });
    seconds = (spent.user + spent.system) / 1e6;
    instructions = cpu.instructions - instructions;
  }
  const result = Number(cpu.getState().gpr[0] & 0xffff_ffffn);
  return { seconds, result, instructions, stats: engine.regions?.stats };
}

const tiers = values.only.split(',');
console.log(`scale ${values.scale} %, ${values.arch}`);
for (const name of names) {
  const which = ALL.indexOf(name);
  const native = spawnSync(join(scratch, 'native'), [String(which), values.scale], { encoding: 'utf8' }).stdout.split(
    ' ',
  );
  const cells = tiers.map((tier) => {
    const r = run(which, tier === 'regions');
    const wrong = r.result === Number(native[1]) ? '' : ' WRONG';
    const rate = (r.instructions / r.seconds / 1e6).toFixed(0);
    const compiled = r.stats
      ? ` (${r.stats.compiled} regions, ${(r.stats.emitMs + r.stats.compileMs).toFixed(0)} ms)`
      : '';
    return `${tier} ${r.seconds.toFixed(3)} s = ${(r.seconds / Number(native[0])).toFixed(1)} x, ${rate} M/s${compiled}${wrong}`;
  });
  console.log(`${name.padEnd(9)} native ${Number(native[0]).toFixed(4)} s; ${cells.join('; ')}`);
}

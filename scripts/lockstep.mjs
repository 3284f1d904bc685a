#!/usr/bin/env node
// Boots a guest on two machines at once, the second with compiled regions, and compares every register and byte of RAM as they
// go. See test/lockstep/lockstep.ts; CONTRIBUTING.md says how to use it.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { root, runScript, StepError } from './steps.mjs';

const USAGE = `Usage: node scripts/lockstep.mjs [options]

Runs a guest on two deterministic machines, slice by slice, and names the first difference.

  --arch ARCH      amd64 (default) or i386
  --guest NAME     debian (default), to its report; or give a kernel of your own:
  --kernel FILE    with --initrd FILE and --append WORDS
  --memory SIZE    default 128M
  --cpus N         default 1
  --until N        end after so many instructions
  --slice N        instructions in a slice (200000)
  --every N        RAM is compared after so many slices (50)
  --hot N          a block is compiled when it has been entered N times, a power of two (64)
  --delay N        what is compiled is ready N slices later (0), as if another thread had done it
  --interpreted    no regions: two interpreters
  --inject N       after N instructions break the second machine's RAX, to see that it is noticed
  --console        print the guest's console
`;

const OPTIONS = {
  arch: { type: 'string', default: 'amd64' },
  guest: { type: 'string', default: 'debian' },
  kernel: { type: 'string' },
  initrd: { type: 'string' },
  append: { type: 'string', default: '' },
  memory: { type: 'string', default: '128M' },
  cpus: { type: 'string', default: '1' },
  until: { type: 'string', default: 'Infinity' },
  slice: { type: 'string', default: '200000' },
  every: { type: 'string', default: '50' },
  hot: { type: 'string', default: '64' },
  delay: { type: 'string', default: '0' },
  interpreted: { type: 'boolean', default: false },
  inject: { type: 'string' },
  console: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
};

/** A module of dist. */
const dist = (path) => import(pathToFileURL(join(root, 'dist', path)).href);

/** The comparison, which is TypeScript beside its test. */
async function loadLockstep() {
  const { build: bundle } = await import('esbuild');
  const entryPoints = [join(root, 'test/lockstep/lockstep.ts')];
  const { outputFiles } = await bundle({ entryPoints, bundle: true, write: false, format: 'esm', platform: 'neutral' });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}

/** An interpreter that finds blocks hot soon, and a compiler that answers at once: the same in every run. */
async function withRegions(hot, delay) {
  const { generate } = await dist('engine/soft/generate.js');
  const { SynchronousCompiler } = await dist('engine/soft/region/job.js');
  const { restoreHandlers } = await dist('engine/soft/isa/stored.js');
  const { collectGarbage } = await dist('host/node/collect.js');
  if (hot & (hot - 1)) throw new StepError('--hot needs a power of two.');
  const { interpreter, handlers, flow } = generate(undefined, hot);
  const compiler = () => new SynchronousCompiler(restoreHandlers(handlers), delay);
  return {
    interpreter: new WebAssembly.Module(interpreter),
    regions: { flow, compiler, collect: collectGarbage, patience: 1 },
  };
}

function whole(text, option) {
  const value = Number(text);
  if (!(value >= 1)) throw new StepError(`${option} needs a number from 1 on, not "${text}".`);
  return Math.floor(value);
}

async function guestFiles(values) {
  if (values.kernel !== undefined)
    return { kernel: values.kernel, initrd: values.initrd ? [values.initrd] : [], append: values.append };
  if (values.guest !== 'debian')
    throw new StepError(`There is no guest "${values.guest}"; give debian, or --kernel FILE.`);
  const { fetchDebianGuest } = await dist('host/node/debian.js');
  const { overlayCpio } = await dist('boot/guest-init.js');
  const { kernel, initrd, append } = await fetchDebianGuest({ arch: values.arch });
  const words = [...append, 'tv.do=report', values.append].filter((word) => word !== '');
  return { kernel, initrd: [values.initrd ?? initrd, overlayCpio({})], append: words.join(' ') };
}

/** How much was compiled, and how much of what ran was. */
async function regionsLine({ regions, view, vcpus }) {
  if (!regions) return undefined;
  const { STAT_COMPILED } = await dist('engine/soft/layout.js');
  const total = vcpus.reduce((sum, vcpu) => sum + vcpu.instructions, 0);
  const share = ((Number(view.getBigUint64(STAT_COMPILED, true)) / total) * 100).toFixed(1);
  const { compiled, dropped, refused, instructions } = regions.stats;
  return `${compiled} regions of ${instructions} instructions (${dropped} dropped, ${refused} refused) ran ${share} % of all.`;
}

async function disassembly(code, state) {
  const { Decoder, DecoderOptions, Formatter, FormatterSyntax } = await import('iced-x86');
  const bits = state.cs.attributes & 0x2000 ? 64 : state.cs.attributes & 0x4000 ? 32 : 16;
  const decoder = new Decoder(bits, code, DecoderOptions.None);
  decoder.ip = state.rip;
  const formatter = new Formatter(FormatterSyntax.Nasm);
  const lines = [];
  let at = 0;
  while (decoder.canDecode && lines.length < 40) {
    const instruction = decoder.decode();
    const bytes = Buffer.from(code.subarray(at, at + instruction.length)).toString('hex');
    at += instruction.length;
    lines.push(
      `  ${instruction.ip.toString(16).padStart(16, '0')}  ${bytes.padEnd(22)}  ${formatter.format(instruction)}`,
    );
    const { flowControl } = instruction;
    instruction.free();
    if (flowControl !== 0) break;
  }
  return lines;
}

async function report(difference) {
  const { good, seen, cpu, before, after, code, lines, slice } = difference;
  const say = (line) => process.stdout.write(`${line}\n`);
  say(`DIFFERENCE after ${seen[0]} instructions (${good} were good), in slices of ${slice}, vCPU ${cpu}.`);
  say(
    `They stood at rip ${before.rip.toString(16)}, rflags ${before.rflags.toString(16)}, cr3 ${before.cr3.toString(16)}:`,
  );
  const names = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
  for (let i = 0; i < 16; i += 4)
    say(
      `  ${names
        .slice(i, i + 4)
        .map((name, k) => `${name.padEnd(3)} ${before.gpr[i + k].toString(16).padStart(16, '0')}`)
        .join('  ')}`,
    );
  for (const line of await disassembly(code, before)) say(line);
  say(`The first went on to rip ${after.toString(16)}. What differs (first | second):`);
  for (const line of lines) say(`  ${line}`);
}

async function main() {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  await build();
  const { lockstep } = await loadLockstep();
  const { machineConfig, parseSize } = await dist('config/config.js');
  const { createLinuxMachine } = await dist('host/node/machine.js');
  const { loadSoftModules } = await dist('host/node/engine.js');
  const { SoftEngine } = await dist('engine/soft/engine.js');
  const { SerialPort } = await dist('host/node/serial.js');
  const files = await guestFiles(values);
  const { core, interpreter, tables } = await loadSoftModules();
  const interpreted = { core, interpreter, tables };
  const compiled = values.interpreted
    ? interpreted
    : { ...interpreted, ...(await withRegions(whole(values.hot, '--hot'), Number(values.delay))) };
  const config = machineConfig({
    arch: values.arch,
    memory: parseSize(values.memory, '--memory'),
    cpus: whole(values.cpus, '--cpus'),
    deterministic: true,
    reboot: false,
  });
  const engines = [];
  const side = (index) => (host, watch) => {
    const text = index === 0 && values.console ? (byte) => process.stdout.write(Uint8Array.of(byte)) : () => {};
    const create = async (engineConfig) => {
      engines[index] = new SoftEngine(engineConfig, index === 1 ? compiled : interpreted);
      return watch(engines[index]);
    };
    return createLinuxMachine({
      ...files,
      config,
      host,
      engine: { name: 'soft', reason: 'lockstep', create, prepare: async () => {}, close: async () => {} },
      serial: [new SerialPort({ write: text, flush: () => undefined })],
    });
  };
  const injectAt = values.inject === undefined ? undefined : whole(values.inject, '--inject');
  const tamper = (vcpu) => {
    if (injectAt === undefined || vcpu.instructions < injectAt) return;
    const state = vcpu.getState();
    state.gpr[0] ^= 1n;
    vcpu.setState(state);
  };
  const start = performance.now();
  let told = start;
  const result = await lockstep({
    make: [side(0), side(1)],
    slice: whole(values.slice, '--slice'),
    every: whole(values.every, '--every'),
    until: values.until === 'Infinity' ? Number.POSITIVE_INFINITY : whole(values.until, '--until'),
    tamper,
    onProgress: (instructions, finding) => {
      if (performance.now() - told < 5000) return;
      told = performance.now();
      process.stderr.write(
        `${finding ? 'Looking for the block' : 'Equal'}: ${(instructions / 1e6).toFixed(0)} million instructions\n`,
      );
    },
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  if (result.difference) {
    await report(result.difference);
    process.exitCode = 1;
  } else {
    const ends = result.ends ? `, both ended: ${result.ends[0]}` : '';
    process.stdout.write(
      `No difference in ${result.instructions} instructions, ${result.slices} slices${ends} (${seconds} s).\n`,
    );
  }
  const line = await regionsLine(engines[1]);
  if (line) process.stdout.write(`${line}\n`);
}

await runScript(main);

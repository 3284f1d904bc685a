/**
 * Measures Typevisor against QEMU's TCG: the same kernel, initial RAM disk and command line in both, in turn (A B A B …),
 * medians and ratios. `npm run bench -- --help`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { benchGuest } from './lib/guests.mjs';
import { stamp } from './lib/stamp.mjs';

const CLI = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'cli', 'main.js');
const PROGRAMS =
  'crc sha collatz div fib interp qsort list memcpy repmov words fault getppid read1 fork exec pipe nbody mandel libm nbody87 mandel87'.split(
    ' ',
  );
const QEMU = 'qemu-system-x86_64';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    arch: { type: 'string', default: 'amd64,i386' },
    what: { type: 'string', default: 'boot,speed,programs,idle' },
    programs: { type: 'string', default: PROGRAMS.join() },
    scale: { type: 'string', default: '25' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(`npm run bench -- [options]
  --what boot,speed,programs,idle   what to measure
  --arch amd64,i386                 guests
  --runs N                          runs of each launcher, medians are printed (5)
  --programs a,b                    which programs (all)
  --scale PERCENT                   length of the programs (25)`);
  process.exit(0);
}
const runs = Number(options.runs);
const arches = options.arch.split(',');
const what = new Set(options.what.split(','));
const scratch = mkdtempSync(join(tmpdir(), 'typevisor-bench-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

const median = (list) => {
  const s = [...list].sort((a, b) => a - b);
  return s.length % 2 ? s[s.length >> 1] : (s[s.length / 2 - 1] + s[s.length / 2]) / 2;
};
const f = (n, digits = 2) => (n === undefined || Number.isNaN(n) ? '-' : n.toFixed(digits));

function launchers(arch, words) {
  const guest = benchGuest(arch);
  const append = `console=ttyS0 quiet cryptomgr.notests ${words}`;
  const stats = join(scratch, `stats-${process.hrtime.bigint()}.json`);
  return {
    ours: {
      command: [
        process.execPath,
        CLI,
        'run',
        '--arch',
        arch,
        '--kernel',
        guest.kernel,
        '--initrd',
        guest.initrd,
        '--memory',
        '512M',
        '--append',
        append,
        '--no-reboot',
        '--stats',
        stats,
      ],
      stats: () => JSON.parse(readFileSync(stats, 'utf8')),
    },
    qemu: {
      command: [
        QEMU,
        '-accel',
        'tcg',
        '-M',
        'pc',
        '-m',
        '512',
        '-nodefaults',
        '-no-reboot',
        '-display',
        'none',
        '-serial',
        'stdio',
        '-kernel',
        guest.kernel,
        '-initrd',
        guest.initrd,
        '-append',
        append,
      ],
    },
  };
}

const line = (result, re) => result.lines.find((l) => re.test(l.text));
function row(cells, widths) {
  console.log(cells.map((c, i) => (i ? String(c).padStart(widths[i]) : String(c).padEnd(widths[i]))).join('  '));
}

async function boot(arch) {
  const times = { ours: [], qemu: [] };
  const memory = { ours: [], qemu: [] };
  for (let n = 0; n <= runs; n++) {
    for (const who of ['ours', 'qemu']) {
      const result = await stamp(launchers(arch, 'vmm.do=none')[who].command, { until: /BOOT-OK/, timeout: 180 });
      const mark = line(result, /BOOT-OK/);
      if (!mark) throw new Error(`${who} did not reach /init: ${result.errors}`);
      if (n === 0) continue; // warm-up
      times[who].push(mark.t);
      memory[who].push((result.memory?.rssKib ?? 0) / 1024);
    }
  }
  const ratios = times.ours.map((t, i) => t / times.qemu[i]);
  row(
    [
      `boot ${arch}`,
      f(median(times.ours)),
      f(median(times.qemu)),
      `${f(median(ratios))} x`,
      f(median(memory.ours), 0),
      f(median(memory.qemu), 0),
    ],
    [18, 10, 10, 8, 10, 10],
  );
}

/** Instructions per second, from the launcher's own counters: a whole run less a run that only boots. */
async function speed(arch) {
  const counted = async (words, name) => {
    const { ours } = launchers(arch, words);
    const result = await stamp(ours.command, { timeout: 300 });
    const from = name ? line(result, /BENCH-START/)?.t : 0;
    const to = name ? line(result, new RegExp(`^BENCH ${name} `))?.t : line(result, /BOOT-OK/)?.t;
    return { instructions: ours.stats().instructions, seconds: to - from };
  };
  const boots = [];
  for (let n = 0; n < runs; n++) boots.push(await counted('vmm.do=poweroff'));
  const bootInstructions = median(boots.map((b) => b.instructions));
  row(
    [`boot ${arch}`, f(median(boots.map((b) => b.instructions / b.seconds / 1e6)), 0), f(bootInstructions / 1e6, 0)],
    [18, 10, 12],
  );
  for (const name of ['crc', 'sha', 'fib']) {
    const list = [];
    for (let n = 0; n < runs; n++) {
      const r = await counted(`vmm.do=bench vmm.bench=${name} vmm.scale=${options.scale}`, name);
      list.push((r.instructions - bootInstructions) / r.seconds / 1e6);
    }
    row([`${name} ${arch}`, f(median(list), 0), ''], [18, 10, 12]);
  }
}

function parseBench(lines) {
  const out = new Map();
  let start;
  for (const { t, text } of lines) {
    if (text.startsWith('BENCH-START ')) start = t;
    const m = /^BENCH (\S+) ([\d.]+) chk=(\w+)/.exec(text);
    if (m) out.set(m[1], { seconds: t - start, checksum: m[3] });
  }
  return out;
}

async function programs(arch) {
  const wanted = options.programs.split(',');
  const words = `vmm.do=bench vmm.bench=${wanted.join()} vmm.scale=${options.scale}`;
  const native = spawnSync(benchGuest(arch).native, [wanted.join(), options.scale], { encoding: 'utf8' });
  const truth = new Map(
    [...native.stdout.matchAll(/^BENCH (\S+) ([\d.]+) chk=(\w+)/gm)].map((m) => [
      m[1],
      { seconds: Number(m[2]), checksum: m[3] },
    ]),
  );
  const all = { ours: new Map(), qemu: new Map() };
  const peak = {};
  for (let n = 0; n < runs; n++) {
    for (const who of ['ours', 'qemu']) {
      const result = await stamp(launchers(arch, words)[who].command, { timeout: 1800 });
      peak[who] = (result.memory?.peakKib ?? 0) / 1024;
      for (const [name, r] of parseBench(result.lines)) {
        const entry = all[who].get(name) ?? { seconds: [], checksum: r.checksum };
        entry.seconds.push(r.seconds);
        all[who].set(name, entry);
      }
    }
  }
  let product = 0;
  let count = 0;
  let wrong = 0;
  const widths = [18, 10, 10, 10, 8, 12];
  row([`program (${arch})`, 'ours s', 'qemu s', 'native s', 'ratio', 'checksum'], widths);
  for (const name of wanted) {
    const ours = all.ours.get(name);
    const qemu = all.qemu.get(name);
    const expected = truth.get(name);
    const ratio = ours && qemu ? median(ours.seconds) / median(qemu.seconds) : Number.NaN;
    if (!Number.isNaN(ratio)) {
      product += Math.log(ratio);
      count++;
    }
    // libm picks its code by the processor's features (FMA): ours has none, so QEMU's sum is the one to meet.
    const meets = [expected?.checksum, name === 'libm' ? qemu?.checksum : undefined].includes(ours?.checksum);
    if (!meets) wrong++;
    row(
      [
        name,
        f(ours && median(ours.seconds), 3),
        f(qemu && median(qemu.seconds), 3),
        f(expected?.seconds, 3),
        f(ratio),
        meets ? 'same' : `WRONG ${ours?.checksum}`,
      ],
      widths,
    );
  }
  console.log(
    `geometric mean ${f(Math.exp(product / count))} x QEMU over ${count} programs; ${wrong} wrong checksums; peak memory ${f(peak.ours, 0)} and ${f(peak.qemu, 0)} MiB`,
  );
  if (wrong) process.exitCode = 1;
}

/** Share of one core that a guest takes that waits at its prompt. */
async function idle(arch) {
  for (const who of ['ours', 'qemu']) {
    const { command } = launchers(arch, 'vmm.do=none')[who];
    const { readings } = await stamp(command, { until: /INIT-IDLE/, samples: [3, 13] });
    row([`idle ${arch} ${who}`, `${f(((readings[1].cpu - readings[0].cpu) / 10) * 100, 1)} %`], [18, 10]);
  }
}

console.log(`Node ${process.version}, ${runs} runs each, medians; scale ${options.scale} %`);
if (what.has('boot')) {
  row(['start to /init', 'ours s', 'qemu s', 'ratio', 'ours MiB', 'qemu MiB'], [18, 10, 10, 8, 10, 10]);
  for (const arch of arches) await boot(arch);
}
if (what.has('speed')) {
  row(['speed', 'M instr/s', 'M instr'], [18, 10, 12]);
  for (const arch of arches) await speed(arch);
}
if (what.has('programs')) for (const arch of arches) await programs(arch);
if (what.has('idle')) for (const arch of arches) await idle(arch);

/**
 * Measures Typevisor against QEMU's TCG, v86 and the bare processor: the same kernel, initial RAM disk and command line, the
 * launchers in turn (A B C A B C …), medians, ratios, and a verdict on each target. bench/README.md says how to read it;
 * `npm run bench -- --help`.
 */
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { f, geometricMean, judge, median, PROGRAMS, parseBench, row, verdictLine } from './lib/figures.mjs';
import { benchGuest } from './lib/guests.mjs';
import { bootable, LAUNCHERS, launcher } from './lib/launchers.mjs';
import { runNative, truth } from './lib/native.mjs';
import { stamp } from './lib/stamp.mjs';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    arch: { type: 'string', default: 'amd64,i386' },
    what: { type: 'string', default: 'boot,speed,programs,idle' },
    launchers: { type: 'string', default: LAUNCHERS.join() },
    programs: { type: 'string', default: PROGRAMS.join() },
    scale: { type: 'string', default: '25' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(`npm run bench -- [options]
  --what boot,speed,programs,idle     what to measure
  --arch amd64,i386                   guests
  --launchers ours,qemu,v86,native    whom to measure
  --runs N                            runs of each launcher, medians are printed (5)
  --programs a,b                      which programs (all)
  --scale PERCENT                     length of the programs (25); busybox's have one length`);
  process.exit(0);
}

/** Refuses what is not in the list, rather than measure nothing of it. */
function chosen(name, known) {
  const list = options[name].split(',');
  const unknown = list.find((word) => !known.includes(word));
  if (unknown === undefined) return list;
  console.error(`--${name} does not know "${unknown}"; it knows ${known.join()}.`);
  process.exit(2);
}

function whole(name) {
  const n = Number(options[name]);
  if (Number.isInteger(n) && n >= 1) return n;
  console.error(`--${name} is a whole number from 1, not "${options[name]}".`);
  process.exit(2);
}

const runs = whole('runs');
const scale = String(whole('scale'));
const arches = chosen('arch', ['amd64', 'i386']);
const what = new Set(chosen('what', ['boot', 'speed', 'programs', 'idle']));
const wanted = chosen('launchers', LAUNCHERS);
const selected = PROGRAMS.filter((name) => chosen('programs', PROGRAMS).includes(name));
const list = selected.length === PROGRAMS.length ? 'all' : selected.join();

const line = (result, re) => result.lines.find((l) => re.test(l.text));

/** Something went wrong that makes figures worthless: said at once, and in the exit status unless it is a peer's affair. */
function fail(message, ours = true) {
  console.log(`ERROR: ${message}`);
  if (ours) process.exitCode = 1;
}

/** Runs a launcher; undefined, with the error said, where it does not come to the line `until` or `mark`. */
async function attempt(who, arch, words, stampOptions) {
  try {
    const result = await stamp(launcher(who, arch, words), stampOptions);
    const last = stampOptions.until ?? stampOptions.mark;
    if (line(result, last)) return result;
    fail(`${who} ${arch} ended without ${last}, at "${result.lines.at(-1)?.text ?? ''}" ${result.errors.trim()}`);
  } catch (error) {
    fail(`${who} ${arch}: ${error.message}`);
  }
  return undefined;
}

/** Start of the process to the first line of /init. Returns ratios ours/peer. */
async function boot(arch) {
  const who = bootable(arch, wanted);
  const times = Object.fromEntries(who.map((name) => [name, []]));
  const memory = Object.fromEntries(who.map((name) => [name, []]));
  for (let n = 0; n <= runs; n++) {
    for (const name of who) {
      const result = await attempt(name, arch, 'vmm.do=none', { until: /BOOT-OK/, timeout: 180 });
      if (result === undefined || n === 0) continue; // the first is a warm-up
      times[name].push(line(result, /BOOT-OK/).t);
      memory[name].push((result.memory?.rssKib ?? 0) / 1024);
    }
  }
  const of = (table, name) => (table[name]?.length ? median(table[name]) : undefined);
  const ratio = (peer) => (of(times, 'ours') ?? Number.NaN) / (of(times, peer) ?? Number.NaN);
  row(
    [
      `boot ${arch}`,
      ...['ours', 'qemu', 'v86'].map((name) => f(of(times, name))),
      ...['qemu', 'v86'].map((name) => f(ratio(name))),
      ...['ours', 'qemu', 'v86'].map((name) => f(of(memory, name), 0)),
    ],
    BOOT_WIDTHS,
  );
  return Object.fromEntries(['qemu', 'v86'].map((p) => [p, ratio(p)]).filter(([, r]) => !Number.isNaN(r)));
}
const BOOT_WIDTHS = [18, 8, 8, 8, 7, 7, 8, 8, 8];

/** Instructions per second, from the launcher's own counters: a whole run less a run that only boots. */
async function speed(arch) {
  const counted = async (words, name) => {
    const result = await stamp(launcher('ours', arch, words, true), { timeout: 300 });
    const from = name ? line(result, /BENCH-START/)?.t : 0;
    const to = name ? line(result, new RegExp(`^BENCH ${name} `))?.t : line(result, /BOOT-OK/)?.t;
    const told = /^(\d+) instructions in /m.exec(result.errors);
    if (told === null) throw new Error(`ours did not tell its instructions: ${result.errors}`);
    return { instructions: Number(told[1]), seconds: to - from };
  };
  const boots = [];
  for (let n = 0; n < runs; n++) boots.push(await counted('vmm.do=poweroff'));
  const bootInstructions = median(boots.map((b) => b.instructions));
  row(
    [`boot ${arch}`, f(median(boots.map((b) => b.instructions / b.seconds / 1e6)), 0), f(bootInstructions / 1e6, 0)],
    [18, 10, 12],
  );
  for (const name of ['crc', 'sha', 'fib']) {
    const found = [];
    for (let n = 0; n < runs; n++) {
      const r = await counted(`vmm.do=bench vmm.bench=${name} vmm.scale=${scale}`, name);
      found.push((r.instructions - bootInstructions) / r.seconds / 1e6);
    }
    row([`${name} ${arch}`, f(median(found), 0), ''], [18, 10, 12]);
  }
}

/** Runs the programs in every launcher, in turn. Returns {who: {seconds: Map(name, [s]), sums: Map(name, Set), rss: [MiB]}}. */
async function measurePrograms(arch) {
  const who = [...bootable(arch, wanted), ...(wanted.includes('native') ? ['native'] : [])];
  const all = Object.fromEntries(who.map((name) => [name, { seconds: new Map(), sums: new Map(), rss: [] }]));
  for (let n = 0; n < runs; n++) {
    for (const name of who) {
      let found;
      if (name === 'native') found = runNative(benchGuest(arch), list, scale);
      else {
        const words = `vmm.do=bench vmm.bench=${list} vmm.scale=${scale}`;
        const result = await attempt(name, arch, words, { mark: /^BENCH-DONE/, timeout: 1800 });
        if (result === undefined) continue;
        found = parseBench(result.lines);
        if (result.marked) all[name].rss.push(result.marked.rssKib / 1024);
      }
      for (const [program, { seconds, checksum }] of found) {
        const times = all[name].seconds.get(program) ?? [];
        const sums = all[name].sums.get(program) ?? new Set();
        all[name].seconds.set(program, [...times, seconds]);
        all[name].sums.set(program, sums.add(checksum));
      }
    }
  }
  return all;
}

/** The table of the programs. Returns {programs: {peer: Map(program, ratio)}, memory: {peer: ratio}}. */
async function programs(arch) {
  const right = truth(benchGuest(arch), list, scale);
  const all = await measurePrograms(arch);
  const peers = ['qemu', 'v86', 'native'].filter((name) => all[name]);
  const widths = [18, ...['ours', ...peers].map(() => 9), ...peers.map(() => 8), 10];
  row([arch, 'ours s', ...peers.map((p) => `${p} s`), ...peers.map((p) => `/${p}`), 'checksum'], widths);
  const ratios = Object.fromEntries(peers.map((p) => [p, new Map()]));
  const wrong = [];
  for (const name of selected) {
    const time = (who) => (all[who]?.seconds.has(name) ? median(all[who].seconds.get(name)) : undefined);
    for (const p of peers) {
      const ratio = (time('ours') ?? Number.NaN) / (time(p) ?? Number.NaN);
      if (Number.isFinite(ratio)) ratios[p].set(name, ratio);
    }
    const differing = Object.keys(all).filter((who) => !meets(right.get(name), all[who].sums.get(name)));
    for (const who of differing)
      wrong.push({ who, message: wrongLine(who, arch, name, all[who].sums.get(name), right.get(name)) });
    const verdict = !all.ours ? '' : differing.includes('ours') ? 'WRONG' : all.ours.sums.has(name) ? 'same' : '-';
    const cells = [f(time('ours'), 3), ...peers.map((p) => f(time(p), 3)), ...peers.map((p) => f(ratios[p].get(name)))];
    row([name, ...cells, verdict], widths);
    if (all.ours && !all.ours.sums.has(name))
      wrong.push({ who: 'ours', message: `${name} (${arch}) did not come to its end.` });
  }
  const blanks = ['ours', ...peers].map(() => '');
  row(['geometric mean', ...blanks, ...peers.map((p) => f(geometricMean([...ratios[p].values()]))), ''], widths);
  const rss = (who) => (all[who]?.rss.length ? median(all[who].rss) : undefined);
  const guests = Object.keys(all).filter((who) => who !== 'native');
  if (guests.length > 0)
    console.log(`resident after the programs, MiB: ${guests.map((who) => `${who} ${f(rss(who), 0)}`).join(', ')}`);
  for (const { who, message } of wrong) fail(message, who === 'ours');
  const memory = rss('ours') && rss('qemu') ? { qemu: rss('ours') / rss('qemu') } : {};
  return { programs: ratios, memory };
}

/** Every run's sum must be right: a fast wrong answer is a wrong answer. A program that did not run has no sum. */
const meets = (right, sums) => sums === undefined || right === undefined || [...sums].every((sum) => right.has(sum));

function wrongLine(who, arch, name, sums, right) {
  const said = [...sums].filter((sum) => !right.has(sum)).join(' and ');
  return `${who} ${arch} computed ${said} in ${name}; the processor computes ${[...right].join(' or ')}.`;
}

/** Share of one core that a guest takes that waits at its prompt. */
async function idle(arch) {
  for (const who of bootable(arch, wanted)) {
    const result = await attempt(who, arch, 'vmm.do=none', { until: /INIT-IDLE/, samples: [3, 13] });
    if (result === undefined) continue;
    const { readings } = result;
    row([`idle ${arch} ${who}`, `${f(((readings[1].cpu - readings[0].cpu) / 10) * 100, 1)} %`], [18, 10]);
  }
}

const { model } = cpus()[0];
console.log(`Node ${process.version}, ${runs} runs each, medians; scale ${scale} %`);
console.log(`${cpus().length} × ${model}, load ${f(loadavg()[0], 1)} before`);
const measured = Object.fromEntries(arches.map((arch) => [arch, {}]));
if (what.has('boot')) {
  row(['start to /init', 'ours s', 'qemu s', 'v86 s', '/qemu', '/v86', 'ours MiB', 'qemu MiB', 'v86 MiB'], BOOT_WIDTHS);
  for (const arch of arches) measured[arch].boot = await boot(arch);
}
if (what.has('speed') && wanted.includes('ours')) {
  row(['speed', 'M instr/s', 'M instr'], [18, 10, 12]);
  for (const arch of arches) await speed(arch);
}
if (what.has('programs')) for (const arch of arches) Object.assign(measured[arch], await programs(arch));
if (what.has('idle')) for (const arch of arches) await idle(arch);
const verdicts = arches.flatMap((arch) => judge(arch, measured[arch]).map((v) => verdictLine(arch, v)));
if (verdicts.length > 0) console.log(`targets\n${verdicts.join('\n')}`);

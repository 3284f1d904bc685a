/** Medians, means and the targets that they are judged by. Nothing in here runs anything. */

export function median(list) {
  const s = [...list].sort((a, b) => a - b);
  return s.length % 2 ? s[s.length >> 1] : (s[s.length / 2 - 1] + s[s.length / 2]) / 2;
}

/** NaN of an empty list. */
export const geometricMean = (list) => Math.exp(list.reduce((sum, n) => sum + Math.log(n), 0) / list.length);

export const f = (n, digits = 2) => (n === undefined || !Number.isFinite(n) ? '-' : n.toFixed(digits));

/**
 * The programs, in the order in which they run: the first are bench.c's and fp.c's, the last four busybox's (applets).
 */
export const PROGRAMS = [
  ...'crc sha collatz div fib interp qsort list memcpy repmov words fault getppid read1 fork exec pipe'.split(' '),
  ...'nbody mandel libm nbody87 mandel87 sh-loop sha256sum gzip awk'.split(' '),
];
export const FLOATING = ['nbody', 'mandel', 'libm', 'nbody87', 'mandel87'];

/** What must be reached: ratios of ours to another launcher, each at most `most` (below it where `strictly`). */
const MEAN = { amd64: 0.6, i386: 0.5 };
const TARGETS = [
  { name: 'boot, × QEMU', kind: 'boot', peer: 'qemu', most: () => 1.0 },
  { name: 'geometric mean, × QEMU', kind: 'mean', peer: 'qemu', most: (arch) => MEAN[arch] },
  { name: 'slowest program, × QEMU', kind: 'worst', peer: 'qemu', most: () => 1.5 },
  { name: 'slowest floating point, × QEMU', kind: 'worst', peer: 'qemu', of: FLOATING, most: () => 0.3 },
  { name: 'resident after the programs, × QEMU', kind: 'memory', peer: 'qemu', most: () => 1.5 },
  { name: 'boot, × v86', kind: 'boot', peer: 'v86', most: () => 1.0, strictly: true },
  { name: 'geometric mean, × v86', kind: 'mean', peer: 'v86', most: () => 0.35 },
  { name: 'slowest program, × v86', kind: 'worst', peer: 'v86', most: () => 1.0, strictly: true },
];

/**
 * Judges one guest's measurement.
 * @param arch the guest
 * @param measured ratios ours/peer: boot {peer: ratio}, memory {peer: ratio}, programs {peer: Map(program, ratio)}. A launcher
 *   that was not measured is absent, a program that did not come to its end is absent from the map.
 * @returns [{name, value, limit, pass, note}]; `pass` is undefined where `note` says what is missing for a verdict
 */
export function judge(arch, { boot = {}, memory = {}, programs = {} }) {
  const verdicts = [];
  for (const { name, kind, peer, of = PROGRAMS, most, strictly = false } of TARGETS) {
    const limit = most(arch);
    const row = { name, limit, note: '' };
    if (kind === 'boot' || kind === 'memory') {
      row.value = { boot, memory }[kind][peer];
      if (row.value === undefined) continue;
      // What is resident depends on everything that has run before.
      if (kind === 'memory') row.note = missing(programs[peer] ?? new Map(), PROGRAMS);
    } else {
      const ratios = [...(programs[peer] ?? [])].filter(([program]) => of.includes(program));
      if (ratios.length === 0) continue;
      row.note = missing(new Map(ratios), of);
      if (kind === 'mean') row.value = geometricMean(ratios.map(([, ratio]) => ratio));
      else {
        const [program, ratio] = ratios.reduce((a, b) => (b[1] > a[1] ? b : a));
        row.value = ratio;
        row.which = program;
      }
    }
    const within = strictly ? row.value < limit : row.value <= limit;
    // One program over the limit settles "no program above"; everything else takes all of them.
    row.pass = row.note === '' || (kind === 'worst' && !within) ? within : undefined;
    verdicts.push({ ...row, sign: strictly ? '<' : '≤' });
  }
  return verdicts;
}

function missing(ratios, wanted) {
  const there = wanted.filter((program) => ratios.has(program)).length;
  return there === wanted.length ? '' : `${there} of ${wanted.length} programs`;
}

/** One line of a verdict. */
export function verdictLine(arch, { name, which, value, sign, limit, pass, note }) {
  const word = pass === undefined ? 'open' : pass ? 'PASS' : 'MISS';
  const details = [which, note].filter((part) => part).join(', ');
  return `${word}  ${arch.padEnd(5)}  ${name.padEnd(36)} ${f(value).padStart(7)} ${sign} ${f(limit)}${details ? `  (${details})` : ''}`;
}

/**
 * The programs in a guest's console, or on the host's standard output: name to {seconds, checksum}. Seconds are the console's,
 * so that no guest's clock is trusted; without time stamps (`t` undefined) those that the program says. The text that a program
 * prints between its two lines, and in a BENCH-OUT line, is part of its checksum.
 */
export function parseBench(lines) {
  const programs = new Map();
  let running;
  for (const { t, text } of lines) {
    const start = /^BENCH-START (\S+)/.exec(text);
    const end = /^BENCH (\S+) ([\d.]+) chk=(\w+)/.exec(text);
    const out = /^BENCH-OUT (\S+) (.*)/.exec(text);
    if (start) running = { name: start[1], t, text: [] };
    else if (end && running?.name === end[1]) {
      const seconds = t === undefined ? Number(end[2]) : t - running.t;
      programs.set(end[1], { seconds, checksum: [end[3], ...running.text].join(' ') });
      running = undefined;
    } else if (out && programs.has(out[1])) programs.get(out[1]).checksum += ` ${out[2].trim()}`;
    else if (running) running.text.push(text.trim());
  }
  return programs;
}

/** Prints a row of a table: the first cell to the left, the others to the right. */
export function row(cells, widths) {
  console.log(cells.map((c, i) => (i ? String(c).padStart(widths[i]) : String(c).padEnd(widths[i]))).join('  '));
}

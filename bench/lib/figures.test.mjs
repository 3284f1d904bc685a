import { expect, test } from 'vitest';
import { FLOATING, geometricMean, judge, median, PROGRAMS, parseBench, verdictLine } from './figures.mjs';

const all = (ratio) => new Map(PROGRAMS.map((name) => [name, ratio]));
const verdict = (name, arch, measured) => judge(arch, measured).find((v) => v.name === name);

test('the median of an even number of runs lies between the two in the middle', () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

test('the geometric mean of a ratio and its inverse is one', () => {
  expect(geometricMean([4, 0.25])).toBeCloseTo(1, 12);
});

test('there are 26 programs, each once', () => {
  expect(new Set(PROGRAMS).size).toBe(26);
  for (const name of FLOATING) expect(PROGRAMS).toContain(name);
});

test('the mean over QEMU passes at its limit and misses above it, by guest', () => {
  const name = 'geometric mean, × QEMU';
  expect(verdict(name, 'amd64', { programs: { qemu: all(0.55) } }).pass).toBe(true);
  expect(verdict(name, 'i386', { programs: { qemu: all(0.55) } }).pass).toBe(false);
});

test('against v86 a draw is not faster', () => {
  const name = 'slowest program, × v86';
  expect(verdict(name, 'i386', { programs: { v86: all(1) } }).pass).toBe(false);
  expect(verdict(name, 'i386', { programs: { v86: all(0.99) } }).pass).toBe(true);
});

test('a verdict on some of the programs is open, but one too slow settles that there is one', () => {
  const some = { programs: { qemu: new Map([['crc', 0.5]]) } };
  expect(verdict('geometric mean, × QEMU', 'amd64', some)).toMatchObject({ pass: undefined, note: '1 of 26 programs' });
  expect(verdict('slowest program, × QEMU', 'amd64', some).pass).toBeUndefined();
  const slow = { programs: { qemu: new Map([['crc', 1.6]]) } };
  expect(verdict('slowest program, × QEMU', 'amd64', slow)).toMatchObject({ pass: false, which: 'crc' });
});

test('the floating-point target looks at those programs only', () => {
  const ratios = all(1.4);
  for (const name of FLOATING) ratios.set(name, 0.2);
  const measured = { programs: { qemu: ratios } };
  expect(verdict('slowest floating point, × QEMU', 'amd64', measured)).toMatchObject({ pass: true, value: 0.2 });
  ratios.set('libm', 0.31);
  expect(verdict('slowest floating point, × QEMU', 'amd64', measured)).toMatchObject({ pass: false, which: 'libm' });
});

test('memory is judged only after the whole suite', () => {
  const name = 'resident after the programs, × QEMU';
  const memory = { qemu: 1.2 };
  expect(verdict(name, 'amd64', { memory, programs: { qemu: all(1) } }).pass).toBe(true);
  expect(verdict(name, 'amd64', { memory, programs: { qemu: new Map([['crc', 1]]) } }).pass).toBeUndefined();
});

test('what was not measured has no verdict', () => {
  expect(judge('amd64', {})).toEqual([]);
  expect(judge('i386', { boot: { v86: 0.5 } }).map((v) => v.name)).toEqual(['boot, × v86']);
});

test('a verdict is one line with its word in front', () => {
  const [boot] = judge('amd64', { boot: { qemu: 1.25 } });
  expect(verdictLine('amd64', boot)).toMatch(/^MISS {2}amd64 {2}boot, × QEMU +1\.25 ≤ 1\.00$/);
});

const console = (...lines) => lines.map(([t, text]) => ({ t, text }));

test('a program takes from its first line to its last by the stamps of the console', () => {
  const programs = parseBench(console([1, 'BENCH-START crc'], [3.5, 'BENCH crc 0.1000 chk=0a']));
  expect(programs.get('crc')).toEqual({ seconds: 2.5, checksum: '0a' });
});

test('without stamps a program takes what it says', () => {
  const programs = parseBench(console([undefined, 'BENCH-START crc'], [undefined, 'BENCH crc 0.1250 chk=0a']));
  expect(programs.get('crc').seconds).toBe(0.125);
});

test('what a program prints is part of its checksum', () => {
  const of = (text) =>
    parseBench(console([1, 'BENCH-START awk'], [2, text], [3, 'BENCH awk 2.0 chk=0'])).get('awk').checksum;
  expect(of('399999')).not.toBe(of('399998'));
  const gzip = parseBench(
    console([1, 'BENCH-START gzip'], [2, 'BENCH gzip 1.0 chk=0'], [3, 'BENCH-OUT gzip f08f  -'], [4, 'BENCH-DONE']),
  );
  expect(gzip.get('gzip').checksum).toBe('0 f08f  -');
});

test('a program that did not come to its end is not there', () => {
  expect(parseBench(console([1, 'BENCH-START crc'], [2, 'BENCH-START sha'], [3, 'BENCH sha 1.0 chk=1'])).size).toBe(1);
});

/** The guest's own programs on the host's bare processor: how long they take at best, and what they must compute. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBench } from './figures.mjs';

/** glibc chooses libm's code by these; a guest whose CPUID lacks them computes other last bits. */
const WITHOUT_FMA = 'glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2';

const linesOf = (text) => text.split('\n').map((line) => ({ t: undefined, text: line }));

function runBench({ program }, list, scale, env = {}) {
  const r = spawnSync(program, [list, scale], { encoding: 'utf8', env: { ...process.env, ...env } });
  return parseBench(linesOf(r.stdout ?? ''));
}

/** @returns programs as `parseBench` tells them; empty where the host can't run this guest's programs */
export function runNative(guest, list, scale) {
  // Memory, as in the guest.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'typevisor-bench-'));
  try {
    const { busybox, program, applets } = guest;
    const r = spawnSync(busybox, ['sh', applets, busybox, program, list, folder], { encoding: 'utf8' });
    return new Map([...runBench(guest, list, scale), ...parseBench(linesOf(r.stdout ?? ''))]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The checksums that are right: for most programs one, for libm one with FMA and one without. */
export function truth(guest, list, scale) {
  const right = new Map();
  for (const [name, { checksum }] of runNative(guest, list, scale)) right.set(name, new Set([checksum]));
  const libm = runBench(guest, 'libm', scale, { GLIBC_TUNABLES: WITHOUT_FMA }).get('libm');
  if (libm) right.get('libm')?.add(libm.checksum);
  return right;
}

/**
 * Threads that work beside the guest's: V8's compilers and ours. What they make is wanted soon, but the guest is wanted
 * now, so they step back where there are fewer processors than threads (measured: on one processor a boot takes 0.6 times
 * as long). Linux has priorities by thread; elsewhere this does nothing.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { basename } from 'node:path';

/** Below the main thread. The compilers must not starve either, for compiled code is what makes the guest fast. */
const STEP_BACK = 10;
const NICEST = 19;

/** Lowers the thread that calls. */
export function stepBack(): void {
  lower(listed(() => [basename(readlinkSync('/proc/thread-self'))]));
}

/** All threads of the process but the main one: before anything of ours has started one, those that Node and V8 start with. */
export function otherThreads(): readonly string[] {
  return listed(() => readdirSync('/proc/self/task').filter((thread) => thread !== String(process.pid)));
}

let others: readonly string[] = [];

/** Leaves it to `othersStepBack` to lower these. */
export function lendOthers(threads: readonly string[]): void {
  others = threads;
}

/**
 * Lowers the threads that have been lent. For the time when the guest begins: until then it waits for them, and on a host where
 * others want the processors it would wait for long.
 */
export function othersStepBack(): void {
  lower(others);
}

function listed(list: () => readonly string[]): readonly string[] {
  if (process.platform !== 'linux') return [];
  try {
    return list();
  } catch {
    return []; // No /proc.
  }
}

function lower(threads: readonly string[]): void {
  try {
    const nice = Math.min(getPriority(process.pid) + STEP_BACK, NICEST);
    for (const thread of threads) setPriority(Number(thread), nice);
  } catch {
    // A thread that has ended, or a host that doesn't allow it: nothing depends on it.
  }
}

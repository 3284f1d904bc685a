/** What `--stats` tells about a machine that has ended: counters, and where its time went. */
import { PLACES, type Samples } from '../engine/soft/profile.js';
import type { MachineStats } from '../machine/machine.js';

export interface StatsContext {
  readonly guest: string;
  readonly engine: string;
  readonly arch: string;
  readonly memory: number;
  readonly cpus: number;
  readonly result: string;
  readonly status: number;
  /** Milliseconds from the start of the process to the start of the machine. */
  readonly prepareMs: number;
  /** Resident memory now and at most, in bytes. */
  readonly rss: number;
  readonly rssPeak: number;
  readonly busiest: readonly { port: string; count: number }[];
}

/**
 * Where the time from start to end went, in ms. `runMs`, `idleMs` and `hostMs` are measured and add up to the whole: in the
 * engine, asleep because the guest waits, and everything else (loading the guest, the machine's loop, its console).
 * The parts of `runMs` are its shares of the samples that were taken in it. A share p of n samples has a standard
 * error of √(p(1-p)/n). Without samples there are no parts.
 */
export interface TimeSplit {
  readonly runMs: number;
  readonly idleMs: number;
  readonly hostMs: number;
  readonly samples: number;
  readonly interpreterMs?: number;
  readonly compiledMs?: number;
  readonly compilingMs?: number;
  readonly pageWalksMs?: number;
  readonly decodingMs?: number;
  readonly switchingMs?: number;
  readonly devicesMs?: number;
  /** `devicesMs` by kind of exit, with the names of `exits`. */
  readonly devices?: Readonly<Record<string, number>>;
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

export function timeSplit({ wallMs, idleMs, runMs }: MachineStats, samples: Samples | undefined): TimeSplit {
  const devices = Object.entries(samples?.devices ?? {}).sort(([, a], [, b]) => b - a);
  const inDevices = sum(devices.map(([, hits]) => hits));
  const total = samples === undefined ? 0 : sum(Object.values(samples.places)) + inDevices;
  const measured = { runMs, idleMs, hostMs: Math.max(0, wallMs - idleMs - runMs), samples: total };
  if (samples === undefined || total === 0) return measured;
  const share = (hits: number) => (runMs * hits) / total;
  return {
    ...measured,
    ...Object.fromEntries(PLACES.map((place) => [`${place}Ms`, share(samples.places[place])])),
    devicesMs: share(inDevices),
    devices: Object.fromEntries(devices.map(([kind, hits]) => [kind, share(hits)])),
  };
}

/** The contents of the `--stats` file. */
export function statsJson(stats: MachineStats, samples: Samples | undefined, context: StatsContext): string {
  const busyMs = stats.wallMs - stats.idleMs;
  const { exits, ...counters } = stats;
  const instructionsPerSecond = busyMs > 0 ? Math.round((stats.instructions / busyMs) * 1000) : 0;
  const time = timeSplit(stats, samples);
  return `${JSON.stringify({ ...context, ...counters, instructionsPerSecond, time, exits }, undefined, 2)}\n`;
}

/** Below, a kind of exit is not told per exit: the standard error is above a fifth. */
const FEW_SAMPLES = 25;
const ROWS = [
  ['interpreterMs', 'interpreter'],
  ['compiledMs', 'compiled code'],
  ['compilingMs', 'compiling'],
  ['pageWalksMs', 'page walks'],
  ['decodingMs', 'decoding'],
  ['switchingMs', 'entering and leaving'],
  ['devicesMs', 'devices'],
] as const;

/** Where the time went as a table, one row a line. */
export function timeLines(stats: MachineStats, samples: Samples | undefined): string[] {
  const time = timeSplit(stats, samples);
  const whole = Math.max(time.runMs + time.idleMs + time.hostMs, 0.001);
  const row = (name: string, ms: number, rest = '') =>
    `${name.padEnd(24)}${(ms / 1000).toFixed(3).padStart(10)} s ${((ms / whole) * 100).toFixed(1).padStart(6)} %${rest}`;
  const parts = ROWS.flatMap(([key, name]) => {
    const ms = time[key];
    if (ms === undefined) return [];
    const p = ms / Math.max(time.runMs, 0.001);
    const error = (Math.sqrt(Math.max(0, p * (1 - p)) / time.samples) * time.runMs * 100) / whole;
    return [row(`  ${name}`, ms, ` ± ${error.toFixed(1)}`)];
  });
  const exits = Object.entries(time.devices ?? {}).map(([kind, ms]) => {
    const count = (stats.exits as Readonly<Record<string, number>>)[kind] ?? 0;
    // The mean of few samples would look more exact than it is.
    const known = count > 0 && (ms * time.samples) / time.runMs >= FEW_SAMPLES;
    const each = known ? ` of ${((ms / count) * 1000).toFixed(1)} µs` : '';
    return row(`    ${kind}`, ms, count === 0 ? '' : `, ${count} exits${each}`);
  });
  return [
    row('in the engine', time.runMs, time.samples === 0 ? '' : `, ${time.samples} samples`),
    ...parts,
    ...exits,
    row('idle', time.idleMs),
    row('host', time.hostMs),
  ];
}

/** The counters, for people. */
export function statsLines(stats: MachineStats, busiest: readonly { port: string; count: number }[]): string[] {
  const busyMs = Math.max(stats.wallMs - stats.idleMs, 0.001);
  const exits = Object.entries(stats.exits).sort(([, a], [, b]) => b - a);
  return [
    `${stats.instructions} instructions in ${(busyMs / 1000).toFixed(2)} s ` +
      `(${(stats.instructions / busyMs / 1000).toFixed(0)} million a second), ${(stats.idleMs / 1000).toFixed(2)} s idle`,
    `${stats.blocksDecoded} blocks decoded, ${stats.tlbMisses} TLB misses, ${stats.tlbFlushes} TLB flushes, ` +
      `${stats.pageFaults} page faults, ${stats.interrupts} interrupts`,
    `${((stats.instructionsInRegions / Math.max(stats.instructions, 1)) * 100).toFixed(1)} % of the instructions in ` +
      `${stats.regionsEntered} runs of compiled regions`,
    `${stats.regionsCompiled} regions compiled with ${stats.instructionsTranslated} instructions in ` +
      `${stats.compileMs.toFixed(0)} ms, ${stats.regionsDropped} dropped, ${stats.regionsRefused} refused`,
    `exits: ${exits.map(([kind, count]) => `${kind} ${count}`).join(', ')}`,
    `busiest: ${busiest.map(({ port, count }) => `${port} ${count}`).join(', ')}`,
  ];
}

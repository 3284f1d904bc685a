/**
 * Where the engine's time goes, told from samples of the host's call stacks (host/node/sampler.ts takes them). The engine
 * itself carries no timers: a clock read costs more than most of what would be timed, and would change what it measures.
 *
 * Frames are known by name. Machine.runSlice is where a vCPU's time begins; the modules' names are in their URLs
 * (`wasm://wasm/region-…`), and core's functions are named by their source files.
 */
import type { ExitSink } from '../contract.js';
import type { CoreImports } from './core-exports.js';
import type { Regions } from './region/regions.js';

/** One node of a call tree, as the inspector protocol's Profiler.ProfileNode has it. */
export interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  /** Samples in which this frame was the innermost. */
  readonly hitCount?: number;
  readonly children?: readonly number[];
}

/**
 * - interpreter, compiled: instructions in the tiers, with what core does for them (strings, far transfers, x87, interrupt
 *   delivery) where it belongs to neither of the following
 * - pageWalks: everything about addresses that is not the inlined TLB hit: misses, walks, flushes, accesses across pages
 * - decoding: finding and decoding blocks, and dropping them when code is written to
 * - compiling: choosing and installing regions, and compiling those that are compiled on the vCPU's own thread
 * - switching: entering and leaving the engine
 */
export const PLACES = ['interpreter', 'compiled', 'compiling', 'pageWalks', 'decoding', 'switching'] as const;
export type Place = (typeof PLACES)[number];

/** Samples taken inside `Vcpu.run`; `devices` by kind of exit, with the names of the machine's exit table. */
export interface Samples {
  readonly places: Readonly<Record<Place, number>>;
  readonly devices: Readonly<Record<string, number>>;
}

/** Core's source files whose functions are not the work of the instruction that called them. */
const PAGE_WALKS = /^src\/engine\/soft\/core\/(mmu|walk|tlb|pdpte|physical)\//;
const DECODING = /^src\/engine\/soft\/core\/(code|jumpcache|decode\w*|decode-\w+)\//;
const SLICE = 'runSlice';
/** Methods of `Regions` that are called from outside of a slice's Wasm. */
export const COMPILING: readonly string[] = ['installReady', 'compileAtRip'];

type Imported = Exclude<keyof CoreImports, 'memory'>;
/**
 * What each function that core imports stands for, and each method of the machine's or of `Regions` that it calls: V8 leaves
 * a frame out now and then. One that is new does not compile until it is here.
 */
const IMPORTS: Readonly<Record<Imported | keyof ExitSink | keyof Pick<Regions, 'dropped' | 'hot'>, string>> = {
  portIn: 'port-in',
  portOut: 'port-out',
  mmioRead: 'mmio-read',
  mmioWrite: 'mmio-write',
  msrRead: 'rdmsr',
  msrWrite: 'wrmsr',
  readMsr: 'rdmsr',
  writeMsr: 'wrmsr',
  ack: 'interrupt',
  acknowledgeInterrupt: 'interrupt',
  readCr8: 'cr8',
  writeCr8: 'cr8',
  tscRead: 'rdtsc',
  readTsc: 'rdtsc',
  entropy: 'entropy',
  trace: 'other',
  regionDropped: 'compiling',
  dropped: 'compiling',
  regionHot: 'compiling',
  hot: 'compiling',
  pageIn: 'other',
};

type Where = Place | 'outside' | { readonly device: string };

/** Sorts the samples of one profile. */
export function attribute(nodes: readonly ProfileNode[]): Samples {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const places = Object.fromEntries(PLACES.map((place) => [place, 0])) as Record<Place, number>;
  const devices: Record<string, number> = {};
  const walk = (node: ProfileNode, above: Where): void => {
    const where = enter(above, node.callFrame.functionName, node.callFrame.url);
    const hits = node.hitCount ?? 0;
    if (hits > 0 && typeof where === 'object') devices[where.device] = (devices[where.device] ?? 0) + hits;
    else if (hits > 0 && where !== 'outside') places[where as Place] += hits;
    for (const child of node.children ?? []) walk(byId.get(child)!, where);
  };
  const called = new Set(nodes.flatMap((node) => node.children ?? []));
  for (const node of nodes) if (!called.has(node.id)) walk(node, 'outside');
  return { places, devices };
}

/** Where a frame is that was called from `above`. */
function enter(above: Where, name: string, url: string): Where {
  if (above === 'outside') return name === SLICE ? 'switching' : 'outside';
  if (above === 'compiling' || typeof above === 'object') return above;
  const module = /^wasm:\/\/wasm\/(?:(interpreter|region)-)?/.exec(url);
  if (module?.[1] !== undefined) return module[1] === 'region' ? 'compiled' : 'interpreter';
  if (above === 'switching') return COMPILING.includes(name) ? 'compiling' : 'switching';
  if (module !== null) {
    if (PAGE_WALKS.test(name)) return 'pageWalks';
    return DECODING.test(name) && above !== 'pageWalks' ? 'decoding' : above;
  }
  const kind = (IMPORTS as Readonly<Record<string, string>>)[name] ?? 'other';
  return kind === 'compiling' ? 'compiling' : { device: kind };
}

/** The sum of two profiles. */
export function addSamples(a: Samples, b: Samples): Samples {
  const places = { ...a.places };
  for (const place of PLACES) places[place] += b.places[place];
  const devices: Record<string, number> = { ...a.devices };
  for (const [kind, hits] of Object.entries(b.devices)) devices[kind] = (devices[kind] ?? 0) + hits;
  return { places, devices };
}

export const NO_SAMPLES: Samples = attribute([]);

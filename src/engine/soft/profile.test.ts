import { expect, test } from 'vitest';
import { addSamples, attribute, COMPILING, NO_SAMPLES, type ProfileNode } from './profile.js';
import { Regions } from './region/regions.js';

const INTERPRETER = 'wasm://wasm/interpreter-0015b7d2';
const REGION = 'wasm://wasm/region-00ab12cd';
const CORE = 'wasm://wasm/0008757a';
const SCRIPT = 'file:///typevisor/dist/cli/main.js';
type Frame = readonly [name: string, url: string];
const SLICE: Frame = ['runSlice', SCRIPT];
const RUN: Frame = ['run', SCRIPT];
const INTERPRET: Frame = ['wasm-function[1997]', INTERPRETER];
const COMPILED: Frame = ['wasm-function[3]', REGION];
const core = (name: string): Frame => [`src/engine/soft/core/${name}`, CORE];

/** A profile of one stack, outermost frame first, that was hit `hits` times in its innermost frame. */
function stack(hits: number, ...frames: Frame[]): ProfileNode[] {
  return [['(root)', ''] as Frame, ...frames].map(([functionName, url], i, all) => ({
    id: i + 1,
    callFrame: { functionName, url },
    hitCount: i === all.length - 1 ? hits : 0,
    ...(i < all.length - 1 && { children: [i + 2] }),
  }));
}

const places = (...frames: Frame[]) => {
  const found = attribute(stack(7, ...frames)).places;
  return Object.entries(found).filter(([, hits]) => hits > 0);
};

test('what does not run a vCPU is not counted', () => {
  expect(attribute(stack(7, ['unpackXz', SCRIPT]))).toEqual(NO_SAMPLES);
  expect(attribute(stack(7, ['(garbage collector)', '']))).toEqual(NO_SAMPLES);
});

test('the tiers are told apart by the names of their modules', () => {
  expect(places(SLICE, RUN, INTERPRET)).toEqual([['interpreter', 7]]);
  expect(places(SLICE, RUN, INTERPRET, COMPILED)).toEqual([['compiled', 7]]);
});

test('what core does for an instruction belongs to the tier that called it', () => {
  expect(places(SLICE, RUN, INTERPRET, core('strings/op_movs'))).toEqual([['interpreter', 7]]);
  expect(places(SLICE, RUN, INTERPRET, COMPILED, core('far/op_iret'))).toEqual([['compiled', 7]]);
});

test('a page walk is one whoever needs the address', () => {
  expect(places(SLICE, RUN, INTERPRET, core('mmu/memRead'), core('walk/walk'))).toEqual([['pageWalks', 7]]);
  expect(places(SLICE, RUN, INTERPRET, COMPILED, core('mmu/memWrite'))).toEqual([['pageWalks', 7]]);
  expect(places(SLICE, RUN, INTERPRET, core('code/lookup'), core('tlb/fill'))).toEqual([['pageWalks', 7]]);
});

test('decoding is finding and decoding blocks, not the fetch behind it', () => {
  expect(places(SLICE, RUN, INTERPRET, core('code/lookup'), core('decode-instruction/decodeInstruction'))).toEqual([
    ['decoding', 7],
  ]);
});

test('exits are devices, by kind, with all that they call', () => {
  const out = stack(7, SLICE, RUN, INTERPRET, COMPILED, core('io/op_out'), ['portOut', SCRIPT], ['write', SCRIPT]);
  expect(attribute(out).devices).toEqual({ 'port-out': 7 });
  const mmio = stack(7, SLICE, RUN, INTERPRET, core('mmu/memRead'), ['mmioRead', SCRIPT], core('events/requestEvents'));
  expect(attribute(mmio)).toEqual({ ...NO_SAMPLES, devices: { 'mmio-read': 7 } });
});

test('choosing a region is compiling, and so is dropping one', () => {
  expect(places(SLICE, RUN, ['installReady', SCRIPT], ['Module', ''])).toEqual([['compiling', 7]]);
  expect(places(SLICE, RUN, INTERPRET, core('code/drop'), ['regionDropped', SCRIPT])).toEqual([['compiling', 7]]);
});

test('the methods that count as compiling exist', () => {
  for (const name of COMPILING) expect(Object.getOwnPropertyNames(Regions.prototype)).toContain(name);
});

test('the way in and out is switching', () => {
  expect(places(SLICE, RUN)).toEqual([['switching', 7]]);
  expect(places(SLICE, RUN, core('events/requestEvents'))).toEqual([['switching', 7]]);
});

test('samples of two profiles add up', () => {
  const a = attribute(stack(2, SLICE, RUN, INTERPRET));
  const b = attribute(stack(3, SLICE, RUN, INTERPRET, ['portIn', SCRIPT]));
  const sum = addSamples(addSamples(a, b), b);
  expect(sum.places.interpreter).toBe(2);
  expect(sum.devices).toEqual({ 'port-in': 6 });
});

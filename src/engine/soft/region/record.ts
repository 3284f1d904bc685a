/** Decoded blocks and records as the region compiler reads them out of linear memory (layout.ts). */
import type { HandlerSpec } from '../isa/define.js';
import * as L from '../layout.js';

/** One record, its fields as numbers. */
export interface DecodedRecord {
  readonly handler: number;
  /** Undefined for the fixed handlers. */
  readonly spec: HandlerSpec | undefined;
  /** Bytes of the instruction; 0 for a micro-op. */
  readonly length: number;
  readonly a: number;
  readonly b: number;
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly disp: number;
  readonly imm: number;
  /** u64 of the extension record in mid-block (MOV r64, imm64; absolute offsets). */
  readonly wide: bigint;
}

/** A block, and where it is mapped. */
export interface DecodedBlock {
  /** Address of its header. */
  readonly header: number;
  /** Linear address of its page. */
  readonly page: bigint;
  /** Host address of its page. */
  readonly host: number;
  /** Offset of its first instruction in the page. */
  readonly start: number;
  readonly mode: number;
  readonly records: readonly DecodedRecord[];
  /** Offset of the instruction behind the block, from its page's start. */
  readonly next: number;
}

type Handlers = readonly (HandlerSpec | undefined)[];

/**
 * Reads a block.
 * @param original the first record's handler and immediate, where a region's entry has taken their place
 */
export function readBlock(
  view: DataView,
  header: number,
  page: bigint,
  handlers: Handlers,
  original?: { readonly handler: number; readonly imm: number },
): DecodedBlock {
  const end = view.getUint32(header + L.BLK_END, true);
  const records: DecodedRecord[] = [];
  let next = 0;
  let at = header + L.BLK_HEADER;
  while (at < end) {
    const first = records.length === 0 && original;
    const handler = first ? first.handler : view.getUint16(at + L.REC_HANDLER, true);
    const spec = handlers[handler];
    const scale = view.getUint8(at + L.REC_SCALE);
    const extended = (scale & L.REC_SCALE_EXT) !== 0;
    records.push({
      handler,
      spec,
      length: view.getUint8(at + L.REC_LEN),
      a: view.getUint8(at + L.REC_A),
      b: view.getUint8(at + L.REC_B),
      base: view.getUint8(at + L.REC_BASE),
      index: view.getUint8(at + L.REC_INDEX),
      scale: scale & ~L.REC_SCALE_EXT,
      disp: view.getInt32(at + L.REC_DISP, true),
      imm: first ? first.imm : view.getInt32(at + L.REC_IMM, true),
      wide: extended ? view.getBigUint64(at + L.REC_SIZE, true) : 0n,
    });
    at += extended ? 2 * L.REC_SIZE : L.REC_SIZE;
    // Whatever ends the block has an extension record behind it, which is the block's last.
    if (at === end - L.REC_SIZE) {
      next = view.getInt32(at, true);
      break;
    }
  }
  return {
    header,
    page,
    host: view.getInt32(header + L.BLK_GPA, true) + L.RAM_BASE,
    start: view.getUint16(header + L.BLK_START, true),
    mode: view.getInt32(header + L.BLK_MODE, true),
    records,
    next,
  };
}

/** What a block can go on with, by linear address. `call` and `site`: a call's target, and where its return comes back. */
export interface Successors {
  readonly taken?: bigint;
  readonly next?: bigint;
  readonly isCall?: boolean;
}

const CONDITIONAL = /^(j(?!mp)|loop)/;

export function successorsOf(block: DecodedBlock, wrap: (address: bigint) => bigint): Successors {
  const last = block.records.at(-1);
  if (!last) return {};
  const next = wrap(block.page + BigInt(block.next));
  if (last.handler === L.H_FALL) return { next };
  const target = last.spec?.operands.find((o) => o.kind === 'rel');
  if (!target) return last.spec?.instruction.name === 'call' ? { next, isCall: true } : {};
  const name = last.spec!.instruction.name;
  if (target.kind === 'rel' && target.size === 2) return CONDITIONAL.test(name) ? { next } : {};
  const taken = wrap(block.page + BigInt(block.next) + BigInt(last.imm));
  if (name === 'call') return { taken, next, isCall: true };
  return CONDITIONAL.test(name) ? { taken, next } : { taken };
}

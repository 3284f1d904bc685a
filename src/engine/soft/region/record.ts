/** Decoded blocks and records as the region compiler reads them (layout.ts). */
import type { HandlerSpec } from '../isa/define.js';
import { FLOW, flowOf } from '../isa/flow.js';
import * as L from '../layout.js';

/** One record, its fields as numbers. */
export interface DecodedRecord {
  /** Its address in linear memory. */
  readonly address: number;
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
  /** Address of its header in linear memory. */
  readonly header: number;
  /** Linear address of its page. */
  readonly page: bigint;
  /** Host address of its page. */
  readonly host: number;
  /** Host address of the next page, where its last instruction runs into that; else 0. */
  readonly host2: number;
  /** Offset of its first instruction in the page. */
  readonly start: number;
  readonly mode: number;
  readonly records: readonly DecodedRecord[];
  /** Instructions that it counts for. */
  readonly count: number;
  /** Offset of the instruction behind the block, from its page's start. */
  readonly next: number;
  /** How it ends: FLOW. */
  readonly flow: number;
}

type Handlers = readonly (HandlerSpec | undefined)[];

/**
 * Reads a block.
 * @param at offset in `view` of its header, which lies or lay at `header` in linear memory
 */
export function readBlock(view: DataView, at: number, header: number, page: bigint, handlers: Handlers): DecodedBlock {
  const end = view.getUint32(at + L.BLK_END, true) - header + at;
  const records: DecodedRecord[] = [];
  let next = 0;
  let flow: number = FLOW.none;
  let r = at + L.BLK_HEADER;
  while (r < end) {
    const handler = view.getUint16(r + L.REC_HANDLER, true);
    const spec = handlers[handler];
    const scale = view.getUint8(r + L.REC_SCALE);
    const extended = (scale & L.REC_SCALE_EXT) !== 0;
    records.push({
      address: r - at + header,
      handler,
      spec,
      length: view.getUint8(r + L.REC_LEN),
      a: view.getUint8(r + L.REC_A),
      b: view.getUint8(r + L.REC_B),
      base: view.getUint8(r + L.REC_BASE),
      index: view.getUint8(r + L.REC_INDEX),
      scale: scale & ~L.REC_SCALE_EXT,
      disp: view.getInt32(r + L.REC_DISP, true),
      imm: view.getInt32(r + L.REC_IMM, true),
      wide: extended ? view.getBigUint64(r + L.REC_SIZE, true) : 0n,
    });
    r += extended ? 2 * L.REC_SIZE : L.REC_SIZE;
    // Whatever ends the block has an extension record behind it, which is the block's last.
    if (handler === L.H_FALL || spec?.instruction.attributes.ends) {
      next = view.getInt32(r, true);
      flow = flowOf(handler, spec);
      break;
    }
  }
  return {
    header,
    page,
    host: view.getInt32(at + L.BLK_GPA, true) + L.RAM_BASE,
    host2: Math.max(0, view.getInt32(at + L.BLK_PAGE2, true) - 1),
    start: view.getUint16(at + L.BLK_START, true),
    mode: view.getInt32(at + L.BLK_MODE, true),
    count: view.getUint16(at + L.BLK_COUNT, true),
    records,
    next,
    flow,
  };
}

/** Linear address where a block's relative branch goes. */
export function targetOf({ page, next, records }: DecodedBlock): bigint {
  return page + BigInt(next) + BigInt(records.at(-1)!.imm);
}

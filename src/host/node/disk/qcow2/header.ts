/**
 * The header of a qcow2 image (QEMU, docs/interop/qcow2.txt, "Header"): read, checked against the file, and the few fields
 * of it that change. Numbers are big-endian. An image is not trusted: what its header says must be possible.
 */
import { DiskRefusal, type Storage } from '../storage.js';

const MAGIC = 0x5146_49fb;
const HEADER_V2 = 72;
const HEADER_V3 = 104;
const EXTENSION_END = 0;
const EXTENSION_BACKING_FORMAT = 0xe279_2aca;

const INCOMPATIBLE_DIRTY = 1;
const INCOMPATIBLE_CORRUPT = 2;
const INCOMPATIBLE_DATA_FILE = 4;
const INCOMPATIBLE_COMPRESSION = 8;
const INCOMPATIBLE_EXTENDED_L2 = 16;

const INCOMPATIBLE_AT = 72;
const AUTOCLEAR_AT = 88;
/** Offset and number of clusters of the refcount table. */
export const REFCOUNT_TABLE_AT = 48;

/** QEMU's own limits: whoever asks for more has no honest reason. */
const LARGEST_L1 = 32 * 2 ** 20;
const LARGEST_REFCOUNT_TABLE = 8 * 2 ** 20;
const LONGEST_BACKING_NAME = 1023;

export type Compression = 'deflate' | 'zstd';

export interface Qcow2Header {
  readonly clusterBits: number;
  /** Of the guest's disk in bytes. */
  readonly size: number;
  readonly l1Size: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  /** A refcount has 2^order bits. */
  readonly refcountOrder: number;
  readonly snapshots: number;
  readonly snapshotsOffset: number;
  readonly compression: Compression;
  readonly version: number;
  readonly corrupt: boolean;
  readonly backing: string | undefined;
  readonly backingFormat: 'raw' | 'qcow2' | undefined;
}

export function isQcow2(storage: Storage): boolean {
  return readView(storage, 0, 4).getUint32(0) === MAGIC;
}

export function readView(storage: Storage, at: number, length: number): DataView {
  const bytes = new Uint8Array(length);
  storage.read(at, [bytes]);
  return new DataView(bytes.buffer);
}

/** A number of 64 bits; beyond 2^53 it is not exact, and beyond every limit that we check. */
export function u64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

/** @throws DiskRefusal where the image can't be what it says, or says what we don't know */
export function readHeader(storage: Storage): Qcow2Header {
  const { name } = storage;
  const refuse = (why: string): never => {
    throw new DiskRefusal(`The qcow2 image ${name} ${why}.`);
  };
  const view = readView(storage, 0, 1024);
  if (storage.size < HEADER_V2 || view.getUint32(0) !== MAGIC) return refuse('does not begin as one');
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) return refuse(`has version ${version}; 2 and 3 are known`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) return refuse(`has clusters of 2^${clusterBits} bytes; 2^9 to 2^21 can be`);
  if (view.getUint32(32) !== 0) return refuse('is encrypted, which we do not support');
  const cluster = 2 ** clusterBits;
  const features = version === 3 ? view.getUint32(INCOMPATIBLE_AT + 4) : 0;
  if (version === 3) checkFeatures(view, features, storage, refuse);
  const headerLength = version === 3 ? view.getUint32(100) : HEADER_V2;
  if (version === 3 && (headerLength < HEADER_V3 || headerLength > cluster)) {
    return refuse(`has a header of ${headerLength} bytes`);
  }
  const compressionType =
    headerLength > HEADER_V3 && (features & INCOMPATIBLE_COMPRESSION) !== 0 ? view.getUint8(104) : 0;
  if (compressionType > 1) return refuse(`is compressed in a way that we do not know (${compressionType})`);
  const header = {
    version,
    clusterBits,
    size: u64(view, 24),
    l1Size: view.getUint32(36),
    l1Offset: u64(view, 40),
    refcountTableOffset: u64(view, REFCOUNT_TABLE_AT),
    refcountTableClusters: view.getUint32(56),
    snapshots: view.getUint32(60),
    snapshotsOffset: u64(view, 64),
    refcountOrder: version === 3 ? view.getUint32(96) : 4,
    compression: compressionType === 1 ? ('zstd' as const) : ('deflate' as const),
    corrupt: (features & INCOMPATIBLE_CORRUPT) !== 0,
    ...readBacking(storage, view, headerLength, cluster, refuse),
  };
  checkPlaces(header, storage, refuse);
  return header;
}

type Refuse = (why: string) => never;

function checkFeatures(view: DataView, features: number, storage: Storage, refuse: Refuse): void {
  const known =
    INCOMPATIBLE_DIRTY |
    INCOMPATIBLE_CORRUPT |
    INCOMPATIBLE_COMPRESSION |
    INCOMPATIBLE_DATA_FILE |
    INCOMPATIBLE_EXTENDED_L2;
  const unknown = view.getUint32(INCOMPATIBLE_AT) !== 0 || (features & ~known) !== 0;
  if (unknown) refuse('needs features that we do not know');
  if ((features & INCOMPATIBLE_DATA_FILE) !== 0) refuse('keeps its data in another file, which we do not support');
  if ((features & INCOMPATIBLE_EXTENDED_L2) !== 0) refuse('has extended L2 entries, which we do not support');
  if (storage.readonly) return;
  if ((features & INCOMPATIBLE_DIRTY) !== 0)
    refuse('was not closed and its refcounts are out of date; repair it with qemu-img check -r all, or add ,readonly');
  if ((features & INCOMPATIBLE_CORRUPT) !== 0)
    refuse('is marked as corrupt; repair it with qemu-img check -r all, or add ,readonly');
}

function readBacking(storage: Storage, view: DataView, headerLength: number, cluster: number, refuse: Refuse) {
  const offset = u64(view, 8);
  const length = view.getUint32(16);
  if (offset === 0) return { backing: undefined, backingFormat: undefined };
  if (length === 0 || length > LONGEST_BACKING_NAME || offset + length > cluster)
    refuse('names its backing file outside of its header');
  const text = new TextDecoder();
  const backing = text.decode(readView(storage, offset, length).buffer);
  let backingFormat: 'raw' | 'qcow2' | undefined;
  // Extensions lie between the header and the name.
  for (let at = headerLength; at + 8 <= offset; ) {
    const head = readView(storage, at, 8);
    const type = head.getUint32(0);
    const size = head.getUint32(4);
    if (type === EXTENSION_END) break;
    if (at + 8 + size > cluster) refuse('has a header extension that ends outside of its header');
    if (type === EXTENSION_BACKING_FORMAT) {
      const format = text.decode(readView(storage, at + 8, size).buffer);
      if (format !== 'raw' && format !== 'qcow2')
        refuse(`has a backing file of format "${format}"; raw and qcow2 are known`);
      backingFormat = format as 'raw' | 'qcow2';
    }
    at += 8 + size + ((8 - (size % 8)) % 8);
  }
  return { backing, backingFormat };
}

/** Tables are where tables can be: aligned, inside the file, apart from each other, and of a possible size. */
function checkPlaces(header: Qcow2Header, storage: Storage, refuse: Refuse): void {
  const cluster = 2 ** header.clusterBits;
  const l2Covers = cluster * (cluster / 8);
  if (header.size > Number.MAX_SAFE_INTEGER / 2) refuse(`is a disk of ${header.size} bytes`);
  if (header.l1Size * 8 > LARGEST_L1)
    refuse(`has an L1 table of ${header.l1Size} entries; at most ${LARGEST_L1 / 8} can be`);
  if (header.l1Size < Math.ceil(header.size / l2Covers)) refuse('has an L1 table that is too short for its size');
  const tableBytes = header.refcountTableClusters * cluster;
  if (tableBytes > LARGEST_REFCOUNT_TABLE) refuse(`has a refcount table of ${tableBytes} bytes`);
  if (header.refcountOrder > 6) refuse(`has refcounts of 2^${header.refcountOrder} bits`);
  const parts = [
    { what: 'header', at: 0, length: cluster },
    { what: 'L1 table', at: header.l1Offset, length: header.l1Size * 8 },
    { what: 'refcount table', at: header.refcountTableOffset, length: tableBytes },
  ].filter(({ length }) => length > 0);
  for (const { what, at, length } of parts.slice(1)) {
    if (at % cluster !== 0) refuse(`has its ${what} at ${at}, which is no cluster's beginning`);
    if (at + length > storage.size) refuse(`has its ${what} at ${at}, which lies outside of the file`);
  }
  const sorted = parts.toSorted((a, b) => a.at - b.at);
  for (const [i, part] of sorted.slice(1).entries())
    if (part.at < sorted[i].at + sorted[i].length) refuse(`has its ${part.what} where its ${sorted[i].what} is`);
}

/** Before the first write: features that mean "nobody has changed this since" do not hold any more. */
export function clearAutoclear(storage: Storage, header: Qcow2Header): void {
  if (header.version < 3) return;
  const view = readView(storage, AUTOCLEAR_AT, 8);
  if (u64(view, 0) !== 0) storage.write(AUTOCLEAR_AT, [new Uint8Array(8)]);
}

/** Says to whoever opens the image next that it must be repaired first. */
export function markCorrupt(storage: Storage, header: Qcow2Header): void {
  if (header.version < 3 || storage.readonly) return;
  const view = readView(storage, INCOMPATIBLE_AT, 8);
  view.setUint32(4, view.getUint32(4) | INCOMPATIBLE_CORRUPT);
  storage.write(INCOMPATIBLE_AT, [new Uint8Array(view.buffer)]);
}

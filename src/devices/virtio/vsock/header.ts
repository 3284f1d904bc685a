/** The header of a packet between sockets of guest and host (virtio 1.2, 5.10.6), little-endian. */

export const HEADER_LENGTH = 44;
/** Longest payload: what Linux sends at most (VIRTIO_VSOCK_MAX_PKT_BUF_SIZE). */
export const LONGEST_PAYLOAD = 65_536;

/** The host's address; guests have 3 and up. */
export const HOST_CID = 2;
export const TYPE_STREAM = 1;

export const Op = {
  request: 1,
  response: 2,
  rst: 3,
  shutdown: 4,
  rw: 5,
  creditUpdate: 6,
  creditRequest: 7,
} as const;

/** Flags of Op.shutdown: no more will be received, no more will be sent. */
export const SHUTDOWN_RECEIVE = 1;
export const SHUTDOWN_SEND = 2;

export interface PacketHeader {
  /** Addresses; their upper halves are reserved and zero. */
  readonly sourceCid: number;
  readonly destinationCid: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Bytes of payload. */
  readonly length: number;
  readonly type: number;
  readonly op: number;
  readonly flags: number;
  /** Of the sender: bytes that he has room for, and bytes that his reader has taken, modulo 2^32. */
  readonly bufAlloc: number;
  readonly fwdCnt: number;
}

/** @param bytes at least HEADER_LENGTH; an address with an upper half comes out as 0, which nobody has */
export function readHeader(bytes: Uint8Array): PacketHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_LENGTH);
  const cid = (at: number) => (view.getUint32(at + 4, true) === 0 ? view.getUint32(at, true) : 0);
  return {
    sourceCid: cid(0),
    destinationCid: cid(8),
    sourcePort: view.getUint32(16, true),
    destinationPort: view.getUint32(20, true),
    length: view.getUint32(24, true),
    type: view.getUint16(28, true),
    op: view.getUint16(30, true),
    flags: view.getUint32(32, true),
    bufAlloc: view.getUint32(36, true),
    fwdCnt: view.getUint32(40, true),
  };
}

export function writeHeader(to: Uint8Array, header: PacketHeader): void {
  const view = new DataView(to.buffer, to.byteOffset, HEADER_LENGTH);
  view.setUint32(0, header.sourceCid, true);
  view.setUint32(4, 0, true);
  view.setUint32(8, header.destinationCid, true);
  view.setUint32(12, 0, true);
  view.setUint32(16, header.sourcePort, true);
  view.setUint32(20, header.destinationPort, true);
  view.setUint32(24, header.length, true);
  view.setUint16(28, header.type, true);
  view.setUint16(30, header.op, true);
  view.setUint32(32, header.flags, true);
  view.setUint32(36, header.bufAlloc, true);
  view.setUint32(40, header.fwdCnt, true);
}

/** Changes the length of a packet's payload, for a packet that is cut. */
export function setLength(header: Uint8Array, length: number): void {
  new DataView(header.buffer, header.byteOffset, HEADER_LENGTH).setUint32(24, length, true);
}

/** Feature bits of the network device, and which of them need which (virtio 1.2, 5.1.3). */
import { featureSet } from '../device.js';
import type { NetBackend, Offloads } from './backend.js';

export const VIRTIO_NET_F_CSUM = 0;
export const VIRTIO_NET_F_GUEST_CSUM = 1;
export const VIRTIO_NET_F_MTU = 3;
export const VIRTIO_NET_F_MAC = 5;
export const VIRTIO_NET_F_GUEST_TSO4 = 7;
export const VIRTIO_NET_F_GUEST_TSO6 = 8;
export const VIRTIO_NET_F_GUEST_ECN = 9;
export const VIRTIO_NET_F_HOST_TSO4 = 11;
export const VIRTIO_NET_F_HOST_TSO6 = 12;
export const VIRTIO_NET_F_HOST_ECN = 13;
export const VIRTIO_NET_F_MRG_RXBUF = 15;
export const VIRTIO_NET_F_STATUS = 16;
export const VIRTIO_NET_F_CTRL_VQ = 17;
export const VIRTIO_NET_F_CTRL_RX = 18;
export const VIRTIO_NET_F_CTRL_VLAN = 19;
export const VIRTIO_NET_F_CTRL_RX_EXTRA = 20;
export const VIRTIO_NET_F_GUEST_ANNOUNCE = 21;
export const VIRTIO_NET_F_CTRL_MAC_ADDR = 23;

/** 5.1.3.1: each with those of which at least one must be there. */
const NEEDS: readonly (readonly [number, readonly number[]])[] = [
  [VIRTIO_NET_F_GUEST_TSO4, [VIRTIO_NET_F_GUEST_CSUM]],
  [VIRTIO_NET_F_GUEST_TSO6, [VIRTIO_NET_F_GUEST_CSUM]],
  [VIRTIO_NET_F_GUEST_ECN, [VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6]],
  [VIRTIO_NET_F_HOST_TSO4, [VIRTIO_NET_F_CSUM]],
  [VIRTIO_NET_F_HOST_TSO6, [VIRTIO_NET_F_CSUM]],
  [VIRTIO_NET_F_HOST_ECN, [VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6]],
  [VIRTIO_NET_F_CTRL_RX, [VIRTIO_NET_F_CTRL_VQ]],
  [VIRTIO_NET_F_CTRL_VLAN, [VIRTIO_NET_F_CTRL_VQ]],
  [VIRTIO_NET_F_CTRL_RX_EXTRA, [VIRTIO_NET_F_CTRL_VQ]],
  [VIRTIO_NET_F_GUEST_ANNOUNCE, [VIRTIO_NET_F_CTRL_VQ]],
  [VIRTIO_NET_F_CTRL_MAC_ADDR, [VIRTIO_NET_F_CTRL_VQ]],
];

function has(features: bigint, bit: number): boolean {
  return ((features >> BigInt(bit)) & 1n) !== 0n;
}

/** What a card offers before this network. */
export function offeredFeatures({ takes, gives, mtu }: NetBackend): bigint {
  const bits = [
    VIRTIO_NET_F_MAC,
    VIRTIO_NET_F_MRG_RXBUF,
    VIRTIO_NET_F_STATUS,
    VIRTIO_NET_F_CTRL_VQ,
    VIRTIO_NET_F_CTRL_RX,
    VIRTIO_NET_F_CTRL_VLAN,
    VIRTIO_NET_F_CTRL_RX_EXTRA,
    VIRTIO_NET_F_GUEST_ANNOUNCE,
    VIRTIO_NET_F_CTRL_MAC_ADDR,
  ];
  const offer = (bit: number, wanted: boolean) => {
    if (wanted) bits.push(bit);
  };
  offer(VIRTIO_NET_F_MTU, mtu !== undefined);
  offer(VIRTIO_NET_F_CSUM, takes.checksum);
  offer(VIRTIO_NET_F_HOST_TSO4, takes.checksum && takes.tso4);
  offer(VIRTIO_NET_F_HOST_TSO6, takes.checksum && takes.tso6);
  offer(VIRTIO_NET_F_HOST_ECN, takes.checksum && takes.ecn && (takes.tso4 || takes.tso6));
  offer(VIRTIO_NET_F_GUEST_CSUM, gives.checksum);
  offer(VIRTIO_NET_F_GUEST_TSO4, gives.checksum && gives.tso4);
  offer(VIRTIO_NET_F_GUEST_TSO6, gives.checksum && gives.tso6);
  offer(VIRTIO_NET_F_GUEST_ECN, gives.checksum && gives.ecn && (gives.tso4 || gives.tso6));
  return featureSet(...bits);
}

/** Whether a driver's choice makes sense. */
export function isConsistent(features: bigint): boolean {
  return NEEDS.every(([bit, needed]) => !has(features, bit) || needed.some((other) => has(features, other)));
}

/** What the guest may leave undone in what it sends. */
export function sendOffloads(features: bigint): Offloads {
  return {
    checksum: has(features, VIRTIO_NET_F_CSUM),
    tso4: has(features, VIRTIO_NET_F_HOST_TSO4),
    tso6: has(features, VIRTIO_NET_F_HOST_TSO6),
    ecn: has(features, VIRTIO_NET_F_HOST_ECN),
  };
}

/** What the guest takes undone. */
export function receiveOffloads(features: bigint): Offloads {
  return {
    checksum: has(features, VIRTIO_NET_F_GUEST_CSUM),
    tso4: has(features, VIRTIO_NET_F_GUEST_TSO4),
    tso6: has(features, VIRTIO_NET_F_GUEST_TSO6),
    ecn: has(features, VIRTIO_NET_F_GUEST_ECN),
  };
}

export * from './device.js';
export { VirtioPci, type VirtioPciState } from './pci/virtio-pci.js';
export type { TransportOptions } from './transport.js';

export * from './backend.js';
export { finishChecksum } from './checksum.js';
export * from './header.js';
export { type NetState, VIRTIO_NET, VirtioNet } from './net.js';

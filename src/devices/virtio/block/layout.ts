/** Numbers of the block device (virtio 1.2, 5.2): features, configuration layout, requests. */

export const VIRTIO_BLK = 2;
export const SECTOR = 512;

export const VIRTIO_BLK_F_SEG_MAX = 2;
export const VIRTIO_BLK_F_RO = 5;
export const VIRTIO_BLK_F_BLK_SIZE = 6;
export const VIRTIO_BLK_F_FLUSH = 9;
export const VIRTIO_BLK_F_TOPOLOGY = 10;
export const VIRTIO_BLK_F_CONFIG_WCE = 11;
export const VIRTIO_BLK_F_MQ = 12;
export const VIRTIO_BLK_F_DISCARD = 13;
export const VIRTIO_BLK_F_WRITE_ZEROES = 14;

/** struct virtio_blk_config (5.2.4), as far as we fill it in. */
export const CONFIG = {
  capacity: 0,
  segMax: 12,
  blkSize: 20,
  physicalBlockExp: 24,
  minIoSize: 26,
  optIoSize: 28,
  writeback: 32,
  numQueues: 34,
  maxDiscardSectors: 36,
  maxDiscardSeg: 40,
  discardSectorAlignment: 44,
  maxWriteZeroesSectors: 48,
  maxWriteZeroesSeg: 52,
  writeZeroesMayUnmap: 56,
  length: 60,
} as const;

/** struct virtio_blk_req (5.2.6): type, reserved, sector; then data; then the status. */
export const HEADER_SIZE = 16;
export const VIRTIO_BLK_T_IN = 0;
export const VIRTIO_BLK_T_OUT = 1;
export const VIRTIO_BLK_T_FLUSH = 4;
export const VIRTIO_BLK_T_GET_ID = 8;
export const VIRTIO_BLK_T_DISCARD = 11;
export const VIRTIO_BLK_T_WRITE_ZEROES = 13;
export const VIRTIO_BLK_S_OK = 0;
export const VIRTIO_BLK_S_IOERR = 1;
export const VIRTIO_BLK_S_UNSUPP = 2;

export const ID_BYTES = 20;
/** struct virtio_blk_discard_write_zeroes: sector, number of sectors, flags. */
export const RANGE_SIZE = 16;
export const RANGE_UNMAP = 1;

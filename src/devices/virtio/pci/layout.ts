/** Numbers of virtio over PCI (4.1), and where we put what. */

export const VIRTIO_VENDOR = 0x1af4;
/** Device IDs of devices without a legacy interface begin here (4.1.2). */
export const MODERN_DEVICE_ID = 0x1040;

/** `cfg_type` of the capabilities (4.1.4). */
export const CAP_COMMON_CFG = 1;
export const CAP_NOTIFY_CFG = 2;
export const CAP_ISR_CFG = 3;
export const CAP_DEVICE_CFG = 4;
export const CAP_PCI_CFG = 5;
/** PCI's ID of vendor-specific capabilities. */
export const CAP_VENDOR = 0x09;

/** "No vector" in the vector registers (4.1.5.1.2.1). */
export const NO_VECTOR = 0xffff;

/** ISR status (4.1.4.5). */
export const ISR_QUEUE = 1;
export const ISR_CONFIG = 2;

/** The BAR with all structures, each in a page of its own; the MSI-X tables have another. */
export const REGISTER_BAR = 0;
export const MSIX_BAR = 1;
export const PAGE = 0x1000;
export const COMMON_OFFSET = 0 * PAGE;
export const ISR_OFFSET = 1 * PAGE;
export const DEVICE_OFFSET = 2 * PAGE;
export const NOTIFY_OFFSET = 3 * PAGE;
export const REGISTER_BAR_SIZE = 4 * PAGE;
/** Each queue has its own notify register of so many bytes. */
export const NOTIFY_MULTIPLIER = 4;
export const MOST_QUEUES = PAGE / NOTIFY_MULTIPLIER;

/** The common configuration structure (4.1.4.3). */
export const DEVICE_FEATURE_SELECT = 0x00;
export const DEVICE_FEATURE = 0x04;
export const DRIVER_FEATURE_SELECT = 0x08;
export const DRIVER_FEATURE = 0x0c;
export const CONFIG_MSIX_VECTOR = 0x10;
export const NUM_QUEUES = 0x12;
export const DEVICE_STATUS = 0x14;
export const CONFIG_GENERATION = 0x15;
export const QUEUE_SELECT = 0x16;
export const QUEUE_SIZE = 0x18;
export const QUEUE_MSIX_VECTOR = 0x1a;
export const QUEUE_ENABLE = 0x1c;
export const QUEUE_NOTIFY_OFF = 0x1e;
export const QUEUE_DESC = 0x20;
export const QUEUE_DRIVER = 0x28;
export const QUEUE_DEVICE = 0x30;
export const QUEUE_NOTIFY_DATA = 0x38;
export const QUEUE_RESET = 0x3a;
export const COMMON_LENGTH = 0x3c;

/** Its fields by offset: name and width. The 64-bit fields are written in halves (4.1.3.1). */
export const COMMON_FIELDS: ReadonlyMap<number, { readonly name: string; readonly size: 1 | 2 | 4 }> = new Map([
  [DEVICE_FEATURE_SELECT, { name: 'device_feature_select', size: 4 }],
  [DEVICE_FEATURE, { name: 'device_feature', size: 4 }],
  [DRIVER_FEATURE_SELECT, { name: 'driver_feature_select', size: 4 }],
  [DRIVER_FEATURE, { name: 'driver_feature', size: 4 }],
  [CONFIG_MSIX_VECTOR, { name: 'config_msix_vector', size: 2 }],
  [NUM_QUEUES, { name: 'num_queues', size: 2 }],
  [DEVICE_STATUS, { name: 'device_status', size: 1 }],
  [CONFIG_GENERATION, { name: 'config_generation', size: 1 }],
  [QUEUE_SELECT, { name: 'queue_select', size: 2 }],
  [QUEUE_SIZE, { name: 'queue_size', size: 2 }],
  [QUEUE_MSIX_VECTOR, { name: 'queue_msix_vector', size: 2 }],
  [QUEUE_ENABLE, { name: 'queue_enable', size: 2 }],
  [QUEUE_NOTIFY_OFF, { name: 'queue_notify_off', size: 2 }],
  [QUEUE_DESC, { name: 'queue_desc', size: 4 }],
  [QUEUE_DESC + 4, { name: 'queue_desc', size: 4 }],
  [QUEUE_DRIVER, { name: 'queue_driver', size: 4 }],
  [QUEUE_DRIVER + 4, { name: 'queue_driver', size: 4 }],
  [QUEUE_DEVICE, { name: 'queue_device', size: 4 }],
  [QUEUE_DEVICE + 4, { name: 'queue_device', size: 4 }],
  [QUEUE_NOTIFY_DATA, { name: 'queue_notify_data', size: 2 }],
  [QUEUE_RESET, { name: 'queue_reset', size: 2 }],
]);

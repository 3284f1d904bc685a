export { ECAM_BUS_SIZE, Ecam, PCI_CONFIG_PORT, PCI_CONFIG_PORTS, PciConfigPorts } from './access.js';
export type { LpcBridgeOptions } from './bridges.js';
export { HostBridge, INTEL, LpcBridge } from './bridges.js';
export type { PciBusOptions, PciBusState } from './bus.js';
export { linkOf, PCI_LINKS, PciBus } from './bus.js';
export { ConfigSpace } from './config-space.js';
export type { PciWindow, PciWindows } from './firmware.js';
export { configurePci } from './firmware.js';
export type {
  Bar,
  BarKind,
  BarSpec,
  PciFunctionOptions,
  PciFunctionState,
  PciHost,
  PciIds,
  PciMapping,
} from './function.js';
export { PciFunction } from './function.js';
export type { MsixState } from './msi.js';
export { Msi, Msix } from './msi.js';

/**
 * A virtio device as a PCI function (4.1): capabilities that say where the structures lie, one BAR with all of them, MSI-X
 * and, where the driver does not use it, the INTx pin.
 */
import type { Doorbell, MmioDevice } from '../../device.js';
import { PCI_COMMAND } from '../../pci/config-space.js';
import { Msix, type MsixState, PciFunction, type PciFunctionState } from '../../pci/index.js';
import { VIRTIO_F_NOTIFICATION_DATA } from '../device.js';
import { Transport, type TransportOptions, type TransportPort, type TransportState } from '../transport.js';
import { CommonConfig, type CommonConfigState } from './common.js';
import * as L from './layout.js';
import { ConfigWindow } from './window.js';

export interface VirtioPciState extends PciFunctionState {
  virtio: {
    version: 1;
    isr: number;
    common: CommonConfigState;
    msix: MsixState;
    transport: TransportState;
  };
}

export class VirtioPci extends PciFunction implements MmioDevice, TransportPort {
  readonly transport: Transport;
  private readonly msix: Msix;
  private readonly common: CommonConfig;
  private readonly window: ConfigWindow;
  private isr = 0;

  /** @throws RangeError for a device with more queues than there are notify registers, or too large a configuration. */
  constructor(options: TransportOptions) {
    const { device } = options;
    super({
      name: device.name,
      ids: {
        vendor: L.VIRTIO_VENDOR,
        device: L.MODERN_DEVICE_ID + device.type,
        classCode: device.classCode,
        revision: 1,
        subsystemVendor: L.VIRTIO_VENDOR,
        subsystem: L.MODERN_DEVICE_ID + device.type,
      },
      interruptPin: 1,
    });
    const queues = device.queueSizes.length;
    if (queues > L.MOST_QUEUES || device.config.length > L.PAGE) {
      throw new RangeError(`${device.name}: ${queues} queues or ${device.config.length} bytes of configuration`);
    }
    this.transport = new Transport(options, this);
    this.common = new CommonConfig(this.transport, queues + 1);
    this.addBar(L.REGISTER_BAR, { kind: 'mem32', size: L.REGISTER_BAR_SIZE }, this);
    this.addStructure(L.CAP_COMMON_CFG, L.COMMON_OFFSET, L.COMMON_LENGTH);
    this.addStructure(L.CAP_ISR_CFG, L.ISR_OFFSET, 1);
    if (device.config.length > 0) this.addStructure(L.CAP_DEVICE_CFG, L.DEVICE_OFFSET, device.config.length);
    this.addStructure(L.CAP_NOTIFY_CFG, L.NOTIFY_OFFSET, queues * L.NOTIFY_MULTIPLIER, L.NOTIFY_MULTIPLIER);
    this.window = new ConfigWindow(this, this.transport, this);
    this.msix = new Msix(this, queues + 1, L.MSIX_BAR);
    // Enabling MSI-X takes the pin away, disabling it brings it back.
    this.watch(0x40, 0xc0, () => this.drivePin());
    let master = false;
    this.watch(PCI_COMMAND, 2, () => {
      const was = master;
      master = this.busMaster;
      if (master && !was) this.transport.lookAgain();
    });
    this.onReset(() => this.transport.reset());
  }

  private addStructure(type: number, offset: number, length: number, multiplier?: number): void {
    const body = new Uint8Array(multiplier === undefined ? 14 : 18);
    const view = new DataView(body.buffer);
    view.setUint8(0, body.length + 2);
    view.setUint8(1, type);
    view.setUint8(2, L.REGISTER_BAR);
    view.setUint32(6, offset, true);
    view.setUint32(10, length, true);
    if (multiplier !== undefined) view.setUint32(14, multiplier, true);
    this.addCapability(L.CAP_VENDOR, body);
  }

  /** The queues' notify registers, written as the standard says. */
  get doorbells(): readonly Doorbell[] {
    return this.transport.queues.map((_, queue) => ({
      offset: L.NOTIFY_OFFSET + queue * L.NOTIFY_MULTIPLIER,
      size: 2,
      value: queue,
    }));
  }

  // ---- the register BAR --------------------------------------------------------------------------------------------

  mmioRead(offset: number, size: 1 | 2 | 4): number {
    const within = offset % L.PAGE;
    switch (offset - within) {
      case L.COMMON_OFFSET:
        if (within < L.COMMON_LENGTH) return this.common.mmioRead(within, size);
        break;
      case L.ISR_OFFSET:
        if (within === 0) return this.readIsr();
        break;
      case L.DEVICE_OFFSET:
        return this.transport.readConfig(within, size);
      default:
        // What a notify register reads as is not said.
        return 0;
    }
    this.transport.refuse(`read at ${offset.toString(16)}h of the BAR, where nothing is`, '4.1.4');
    return 0;
  }

  mmioWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    const within = offset % L.PAGE;
    switch (offset - within) {
      case L.COMMON_OFFSET:
        if (within < L.COMMON_LENGTH) {
          this.common.mmioWrite(within, size, value);
          return;
        }
        break;
      case L.DEVICE_OFFSET:
        this.transport.writeConfig(within, size, value);
        return;
      case L.NOTIFY_OFFSET:
        this.notifyWritten(within, size, value);
        return;
    }
    this.transport.refuse(`wrote at ${offset.toString(16)}h of the BAR, where nothing is writable`, '4.1.4');
  }

  /** 4.1.5.2: the queue's number in 16 bits, or in 32 with the place in its ring (which we look up ourselves). */
  private notifyWritten(offset: number, size: number, value: number): void {
    const { transport } = this;
    const queue = offset / L.NOTIFY_MULTIPLIER;
    const width = transport.has(VIRTIO_F_NOTIFICATION_DATA) ? 4 : 2;
    if (!Number.isInteger(queue) || queue >= transport.queues.length) {
      transport.refuse(`wrote at ${offset} of the notification structure, where no queue is`, '4.1.4.4');
      return;
    }
    if (size !== width || (value & 0xffff) !== queue) {
      transport.refuse(`notified queue ${queue} with the ${size} bytes ${value.toString(16)}h`, '4.1.5.2');
    }
    transport.notified(queue);
  }

  // ---- interrupts --------------------------------------------------------------------------------------------------

  queueInterrupt(queue: number): void {
    if (!this.msix.enabled) this.raise(L.ISR_QUEUE);
    else this.message(this.common.queueVectors[queue]);
  }

  configInterrupt(): void {
    this.raise(L.ISR_CONFIG);
    if (this.msix.enabled) this.message(this.common.configVector);
  }

  private message(vector: number): void {
    if (vector !== L.NO_VECTOR) this.msix.notify(vector);
  }

  private raise(bit: number): void {
    this.isr |= bit;
    this.drivePin();
  }

  /** Reading it withdraws the interrupt (4.1.4.5). */
  private readIsr(): number {
    const { isr } = this;
    this.isr = 0;
    this.drivePin();
    return isr;
  }

  private drivePin(): void {
    this.intx.set(this.isr !== 0 && !this.msix.enabled);
  }

  // ---- TransportPort, PciFunction ----------------------------------------------------------------------------------

  mayAccess(): boolean {
    return this.busMaster;
  }

  wasReset(): void {
    this.isr = 0;
    this.common.reset();
    this.drivePin();
  }

  override configRead(offset: number, size: 1 | 2 | 4): number {
    if (this.window.hit(offset, size)) this.window.fetch();
    return super.configRead(offset, size);
  }

  override configWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    super.configWrite(offset, size, value);
    if (this.window.hit(offset, size)) this.window.store(offset, size, value);
  }

  /** With all that the device, its queues and its interrupts hold. */
  override save(): VirtioPciState {
    return {
      ...super.save(),
      virtio: {
        version: 1,
        isr: this.isr,
        common: this.common.save(),
        msix: this.msix.save(),
        transport: this.transport.save(),
      },
    };
  }

  override restore(state: PciFunctionState): void {
    super.restore(state);
    const { virtio } = state as VirtioPciState;
    this.msix.restore(virtio.msix);
    this.transport.restore(virtio.transport);
    this.common.restore(virtio.common);
    this.isr = virtio.isr;
    this.drivePin();
  }

  override resume(): void {
    this.transport.resume();
  }
}

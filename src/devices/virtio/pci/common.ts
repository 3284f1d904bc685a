/** The common configuration structure (4.1.4.3): a transport's settings as registers. */
import type { MmioDevice } from '../../device.js';
import type { Transport } from '../transport.js';
import * as L from './layout.js';

export interface CommonConfigState {
  deviceFeatureSelect: number;
  driverFeatureSelect: number;
  queueSelect: number;
  configVector: number;
  queueVectors: number[];
}

export class CommonConfig implements MmioDevice {
  /** MSI-X vectors as the driver has mapped them. */
  configVector = L.NO_VECTOR;
  readonly queueVectors: number[];
  private readonly transport: Transport;
  private readonly vectors: number;
  private deviceFeatureSelect = 0;
  private driverFeatureSelect = 0;
  private queueSelect = 0;

  /** @param vectors how many there are: a vector beyond can't be mapped (4.1.5.1.2.1) */
  constructor(transport: Transport, vectors: number) {
    this.transport = transport;
    this.vectors = vectors;
    this.queueVectors = transport.queues.map(() => L.NO_VECTOR);
  }

  reset(): void {
    this.deviceFeatureSelect = 0;
    this.driverFeatureSelect = 0;
    this.queueSelect = 0;
    this.configVector = L.NO_VECTOR;
    this.queueVectors.fill(L.NO_VECTOR);
  }

  mmioRead(offset: number, size: 1 | 2 | 4): number {
    const field = L.COMMON_FIELDS.get(offset);
    if (field?.size === size) return this.readField(offset);
    this.transport.refuse(
      `read ${size} bytes at ${offset} of the common configuration, which is no field's place and width`,
      '4.1.3.1',
    );
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readByte(offset + i) << (8 * i);
    return value >>> 0;
  }

  private readByte(offset: number): number {
    for (let start = offset; start > offset - 4; start--) {
      const field = L.COMMON_FIELDS.get(start);
      if (field !== undefined) {
        return offset < start + field.size ? (this.readField(start) >>> (8 * (offset - start))) & 0xff : 0;
      }
    }
    return 0;
  }

  private readField(offset: number): number {
    const { transport, queueSelect } = this;
    const queue = transport.queues[queueSelect];
    switch (offset) {
      case L.DEVICE_FEATURE_SELECT:
        return this.deviceFeatureSelect;
      case L.DEVICE_FEATURE:
        return transport.offered[this.deviceFeatureSelect] ?? 0;
      case L.DRIVER_FEATURE_SELECT:
        return this.driverFeatureSelect;
      case L.DRIVER_FEATURE:
        return transport.driverFeatures(this.driverFeatureSelect);
      case L.CONFIG_MSIX_VECTOR:
        return this.configVector;
      case L.NUM_QUEUES:
        return transport.queues.length;
      case L.DEVICE_STATUS:
        return transport.status;
      case L.CONFIG_GENERATION:
        return transport.generation;
      case L.QUEUE_SELECT:
        return queueSelect;
      case L.QUEUE_SIZE:
        return queue?.size ?? 0;
      case L.QUEUE_MSIX_VECTOR:
        return this.queueVectors[queueSelect] ?? L.NO_VECTOR;
      case L.QUEUE_ENABLE:
        return transport.queueEnabled(queueSelect) ? 1 : 0;
      case L.QUEUE_NOTIFY_OFF:
      case L.QUEUE_NOTIFY_DATA:
        return queue === undefined ? 0 : queueSelect;
      case L.QUEUE_DESC:
      case L.QUEUE_DESC + 4:
      case L.QUEUE_DRIVER:
      case L.QUEUE_DRIVER + 4:
      case L.QUEUE_DEVICE:
      case L.QUEUE_DEVICE + 4:
        return queue?.addresses[(offset - L.QUEUE_DESC) / 4] ?? 0;
      default:
        return 0; // queue_reset: a reset is over at once
    }
  }

  mmioWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    const { transport, queueSelect } = this;
    const field = L.COMMON_FIELDS.get(offset);
    if (field?.size !== size) {
      transport.refuse(
        `wrote ${size} bytes at ${offset} of the common configuration, which is no field's place and width`,
        '4.1.3.1',
      );
      return;
    }
    switch (offset) {
      case L.DEVICE_FEATURE_SELECT:
        this.deviceFeatureSelect = value >>> 0;
        break;
      case L.DRIVER_FEATURE_SELECT:
        this.driverFeatureSelect = value >>> 0;
        break;
      case L.DRIVER_FEATURE:
        transport.acceptFeatures(this.driverFeatureSelect, value);
        break;
      case L.CONFIG_MSIX_VECTOR:
        this.configVector = this.mapped(value);
        break;
      case L.DEVICE_STATUS:
        transport.writeStatus(value);
        break;
      case L.QUEUE_SELECT:
        this.queueSelect = value;
        break;
      case L.QUEUE_SIZE:
        transport.setQueueSize(queueSelect, value);
        break;
      case L.QUEUE_MSIX_VECTOR:
        if (queueSelect < this.queueVectors.length) this.queueVectors[queueSelect] = this.mapped(value);
        else transport.refuse(`wrote queue_msix_vector of queue ${queueSelect}, which is not there`, '4.1.4.3.2');
        break;
      case L.QUEUE_ENABLE:
        if (value === 1) transport.enableQueue(queueSelect);
        else transport.refuse(`wrote ${value} to queue_enable of queue ${queueSelect}`, '4.1.4.3.2');
        break;
      case L.QUEUE_DESC:
      case L.QUEUE_DESC + 4:
      case L.QUEUE_DRIVER:
      case L.QUEUE_DRIVER + 4:
      case L.QUEUE_DEVICE:
      case L.QUEUE_DEVICE + 4:
        transport.setQueue(queueSelect, field.name, ({ addresses }) => {
          addresses[(offset - L.QUEUE_DESC) / 4] = value >>> 0;
        });
        break;
      case L.QUEUE_RESET:
        if (value === 1) transport.resetQueue(queueSelect);
        else transport.refuse(`wrote ${value} to queue_reset of queue ${queueSelect}`, '2.6.1');
        break;
      default:
        transport.refuse(`wrote to ${field.name}, which is read-only`, '4.1.4.3.2');
    }
  }

  /** The vector, or "none" where it can't be had. */
  private mapped(vector: number): number {
    return vector < this.vectors ? vector : L.NO_VECTOR;
  }

  save(): CommonConfigState {
    const { deviceFeatureSelect, driverFeatureSelect, queueSelect, configVector } = this;
    return {
      deviceFeatureSelect,
      driverFeatureSelect,
      queueSelect,
      configVector,
      queueVectors: [...this.queueVectors],
    };
  }

  restore(state: CommonConfigState): void {
    this.deviceFeatureSelect = state.deviceFeatureSelect;
    this.driverFeatureSelect = state.driverFeatureSelect;
    this.queueSelect = state.queueSelect;
    this.configVector = state.configVector;
    this.queueVectors.forEach((_, i) => {
      this.queueVectors[i] = state.queueVectors[i] ?? L.NO_VECTOR;
    });
  }
}

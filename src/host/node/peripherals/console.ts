/** The virtio console's half on the host: the machine's terminal, with its window. */
import { VirtioConsole } from '../../../devices/virtio/console/index.js';
import type { SerialPort } from '../serial.js';
import type { DeviceParts, Peripheral } from './peripheral.js';

/** What is behind the console. */
export interface ConsoleEnd {
  readonly port: SerialPort;
  /** The window, where there is one. */
  readonly size: { readonly rows: number; readonly columns: number } | undefined;
  /** Called when the window has changed. */
  onResize: () => void;
}

export class ConsolePeripheral implements Peripheral {
  readonly name = 'console';
  private readonly end: ConsoleEnd;

  constructor(end: ConsoleEnd) {
    this.end = end;
  }

  async open(): Promise<void> {}

  createDevice({ clock }: DeviceParts): VirtioConsole {
    const { end } = this;
    const transmit = (bytes: Uint8Array) => {
      for (const byte of bytes) end.port.transmit(byte);
      // A slow reader holds the whole machine back, at the next flush.
      return bytes.length;
    };
    const size = () => end.size && { cols: end.size.columns, rows: end.size.rows };
    const first = size();
    const device = new VirtioConsole({
      ports: [{ backend: { transmit, roomForInput: () => end.port.roomForInput() } }],
      clock,
      ...(first && { size: first }),
    });
    end.port.connect({ receive: (bytes) => device.receive(0, bytes) });
    end.onResize = () => {
      const now = size();
      if (now !== undefined) device.setSize(now);
    };
    return device;
  }

  async close(): Promise<void> {
    this.end.onResize = () => {};
  }
}
